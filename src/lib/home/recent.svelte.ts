// What the log told of in the last hour: asked for once, then heard.

import type { EventRecord, Page } from '$lib/api/types';
import { answer, request } from '$lib/host';
import type { Live } from '$lib/live';

/** What happened longer ago is no alert any more. */
export const ALERT_MS = 3_600_000;

export class Recent<T extends { cursor: number }> {
	all = $state.raw<T[]>([]);
	#stop = () => {};
	readonly #type: EventRecord['type'];
	readonly #of: (record: EventRecord) => T | undefined;

	constructor(type: EventRecord['type'], of: (record: EventRecord) => T | undefined) {
		this.#type = type;
		this.#of = of;
	}

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
				request.GET('/api/v1/audit', { params: { query: { type: this.#type, limit: 50 } } })
			);
			this.#add((page as Page<EventRecord>).items);
		} catch {
			// The log itself says it; an alert less is no reason for another.
		}
	}

	#add(records: readonly EventRecord[]): void {
		const more = records.flatMap((record) => this.#of(record) ?? []);
		if (more.length === 0) return;
		const known = new Map([...this.all, ...more].map((one) => [one.cursor, one]));
		this.all = [...known.values()].slice(-200);
	}
}
