// What of the models may need somebody: providers that are paused, a vault they wait for, caps that were reached.

import type { EventRecord, Page, Provider } from '$lib/api/types';
import { answer, request } from '$lib/host';
import type { Live } from '$lib/live';
import { Providers } from '$lib/providers/providers.svelte';

const TYPE = 'spend_cap.reached';

export interface CapReached {
	cursor: number;
	at: number;
	/** The key's; absent for the caps of all. */
	name?: string | null;
	cap: number;
	/** Micro-dollars, as `cap`. */
	spent: number;
}

/** As far as it can need somebody. */
export interface ModelNews {
	providers: readonly Provider[];
	/** It exists and is locked. */
	vaultLocked: boolean;
	caps: readonly CapReached[];
}

function capOf(record: EventRecord): CapReached | undefined {
	if (record.type !== TYPE) return undefined;
	const { name, cap_micros, spent_micros } = record.data;
	return { cursor: record.cursor, at: record.at, name, cap: cap_micros, spent: spent_micros };
}

export class ModelWatch {
	readonly providers = new Providers();
	caps = $state.raw<readonly CapReached[]>([]);

	/** Returns how to stop. */
	follow(live: Live): () => void {
		const stops = [this.providers.follow(live), live.listen((record) => this.#add([record]))];
		void this.#load();
		return () => {
			for (const stop of stops) stop();
		};
	}

	async #load(): Promise<void> {
		try {
			const page = await answer(
				request.GET('/api/v1/audit', { params: { query: { type: TYPE, limit: 20 } } })
			);
			this.#add((page as Page<EventRecord>).items);
		} catch {
			// The usage page says it too.
		}
	}

	#add(records: readonly EventRecord[]): void {
		const more = records.flatMap((record) => capOf(record) ?? []);
		if (more.length === 0) return;
		this.caps = [...new Map([...this.caps, ...more].map((one) => [one.cursor, one])).values()];
	}
}
