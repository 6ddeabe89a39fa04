// Where the live store gets its facts: the API. A test puts its own in place.

import type { Device, ServerInfo, Task, TimedSample } from '$lib/api/types';
import {
	answer,
	inApp,
	lastKnown,
	request,
	subscribe,
	type SubscribeOptions,
	type Subscription
} from '$lib/host';

export interface Source {
	subscribe(options: SubscribeOptions): Subscription;
	snapshot(): Promise<{ devices: Device[]; tasks: Task[] }>;
	samples(deviceId: string, since: number): Promise<TimedSample[]>;
	/** What the server is, and how long the answer took in ms. */
	server(): Promise<{ server: ServerInfo; ms: number }>;
	/** It may answer with what was last known where nobody answers. */
	readonly keeps: boolean;
	/** The last answers were such. */
	old(): boolean;
}

const PAGE = 200;
const ACTIVE = 'queued,running';

export const apiSource: Source = {
	keeps: inApp,
	old: () => lastKnown.at !== undefined,
	subscribe: (options) => subscribe('/api/v1/events', options),

	async snapshot() {
		const [devices, active, recent] = await Promise.all([
			everyPage((cursor) =>
				answer(request.GET('/api/v1/devices', { params: { query: { limit: PAGE, cursor } } }))
			),
			everyPage((cursor) =>
				answer(request.GET('/api/v1/tasks', { params: { query: { limit: PAGE, cursor, state: ACTIVE } } }))
			),
			answer(request.GET('/api/v1/tasks', { params: { query: { limit: PAGE } } }))
		]);
		return { devices, tasks: [...recent.items, ...active] };
	},

	async samples(deviceId, since) {
		const { items } = await answer(
			request.GET('/api/v1/devices/{id}/samples', {
				params: { path: { id: deviceId }, query: { since, points: 60 } }
			})
		);
		return items;
	},

	async server() {
		const began = performance.now();
		const server = await answer(request.GET('/api/v1/server'));
		return { server, ms: Math.max(1, Math.round(performance.now() - began)) };
	}
};

async function everyPage<T>(
	page: (cursor: string | undefined) => Promise<{ items: T[]; next?: string | null }>
): Promise<T[]> {
	const items: T[] = [];
	let cursor: string | undefined;
	do {
		const answered = await page(cursor);
		items.push(...answered.items);
		cursor = answered.next ?? undefined;
	} while (cursor !== undefined);
	return items;
}
