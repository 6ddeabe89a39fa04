// Callers that devices turned away in the last hour: asked for once, then heard.

import type { EventRecord, Page } from '$lib/api/types';
import { answer, request } from '$lib/host';
import type { Live } from '$lib/live';

/** What happened longer ago is no alert any more. */
export const ALERT_MS = 3_600_000;
const TYPE = 'device.link.refused';

export interface Refusal {
	cursor: number;
	at: number;
	device: { id: string; name: string };
	from: string;
	count: number;
}

function refusalOf(record: EventRecord): Refusal | undefined {
	if (record.type !== TYPE) return undefined;
	const { device, from, count } = record.data;
	return { cursor: record.cursor, at: record.at, device: { id: device.id, name: device.name }, from, count };
}

/** One for each device: the latest, with how many there were. */
export function byDevice(all: readonly Refusal[], now: number): Refusal[] {
	const devices = new Map<string, Refusal>();
	const recent = all.filter(({ at }) => now - at < ALERT_MS).sort((a, b) => b.cursor - a.cursor);
	for (const one of recent) {
		const known = devices.get(one.device.id);
		devices.set(one.device.id, known ? { ...known, count: known.count + one.count } : one);
	}
	return [...devices.values()];
}

export class Refusals {
	all = $state.raw<Refusal[]>([]);
	#stop = () => {};

	start(live: Live): void {
		this.#stop = live.listen((record) => this.#add([record]));
		void this.#load();
	}

	stop(): void {
		this.#stop();
	}

	async #load(): Promise<void> {
		try {
			const page = await answer(
				request.GET('/api/v1/audit', { params: { query: { type: TYPE, limit: 50 } } })
			);
			this.#add((page as Page<EventRecord>).items);
		} catch {
			// The log itself says it; an alert less is no reason for another.
		}
	}

	#add(records: readonly EventRecord[]): void {
		const more = records.flatMap((record) => refusalOf(record) ?? []);
		if (more.length === 0) return;
		const known = new Map([...this.all, ...more].map((one) => [one.cursor, one]));
		this.all = [...known.values()].slice(-200);
	}
}
