// What the usage page asks of the server.

import type { UsageReport } from '$lib/api/types';
import { answer, request } from '$lib/host';
import type { By } from './range';

export interface UsageAsked {
	/** ms since epoch. */
	from: number;
	/** Exclusive. */
	to: number;
	by: By;
}

export function readUsage(asked: UsageAsked): Promise<UsageReport> {
	return answer(request.GET('/api/v1/usage', { params: { query: asked } }));
}

/** Where the browser itself fetches the table. */
export function csvPath({ from, to, by }: UsageAsked): string {
	return `/api/v1/usage.csv?${new URLSearchParams({ from: String(from), to: String(to), by })}`;
}
