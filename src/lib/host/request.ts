// Typed calls to the API. `answer(request.GET('/api/v1/devices'))` gives the data or throws a ProblemError.

import createClient, { type FetchResponse } from 'openapi-fetch';
import type { paths } from '$lib/api/schema';
import { problemFrom, problemOf } from './problem';
import { inApp, send } from './transport';

/** A request that takes longer has failed: better said than waited for. */
const TIMEOUT_MS = 20_000;

export const request = createClient<paths>({
	baseUrl: typeof location === 'undefined' || inApp ? 'http://localhost' : location.origin,
	credentials: 'same-origin',
	fetch: (input) => send(input, { signal: AbortSignal.any([input.signal, AbortSignal.timeout(TIMEOUT_MS)]) })
});

/** The data of a successful answer; throws a ProblemError otherwise. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the parameters of openapi-fetch's own type
export async function answer<T extends Record<string | number, any>, O, M extends `${string}/${string}`>(
	call: Promise<FetchResponse<T, O, M>>
): Promise<NonNullable<FetchResponse<T, O, M>['data']>> {
	let settled: FetchResponse<T, O, M>;
	try {
		settled = await call;
	} catch (thrown) {
		throw problemOf(thrown);
	}
	if (!settled.response.ok) throw problemFrom(settled.response.status, settled.error);
	return settled.data as NonNullable<FetchResponse<T, O, M>['data']>;
}
