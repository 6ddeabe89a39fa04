// The providers of models, kept current by the event log, and by what the stream tells of how they do.

import type { EventRecord, Provider, StreamProvider } from '$lib/api/types';
import { problemOf, type ProblemError } from '$lib/host';
import type { Live } from '$lib/live';
import { listProviders } from './calls';

export class Providers {
	all = $state.raw<readonly Provider[]>([]);
	/** The first answer is here: an empty list now means there is none. */
	ready = $state(false);
	problem = $state.raw<ProblemError>();

	#asking: Promise<void> | undefined;
	#again = false;

	/** Loads, and follows until the returned function is called. */
	follow(live: Live): () => void {
		void this.load();
		const stops = [
			live.listen((record) => this.take(record)),
			live.watchProviders({
				changed: (told) => this.does(told),
				missed: () => void this.load()
			})
		];
		return () => {
			for (const stop of stops) stop();
		};
	}

	/** One at a time; asked for meanwhile, it asks once more, because the first may have read too early. */
	load(): Promise<void> {
		if (this.#asking) {
			this.#again = true;
			return this.#asking;
		}
		return (this.#asking = this.#load().finally(() => {
			this.#asking = undefined;
			if (this.#again) {
				this.#again = false;
				void this.load();
			}
		}));
	}

	put(provider: Provider): void {
		const others = this.all
			.filter((one) => one.id !== provider.id)
			// There is one default: the new one took the mark.
			.map((one) => (provider.is_default && one.is_default ? { ...one, is_default: false } : one));
		this.all = [...others, provider];
	}

	drop(id: string): void {
		this.all = this.all.filter((one) => one.id !== id);
	}

	does({ provider_id, health }: StreamProvider): void {
		this.all = this.all.map((one) => (one.id === provider_id ? { ...one, health } : one));
		// What is under way may have been read before.
		if (this.#asking) this.#again = true;
	}

	take(record: EventRecord): void {
		if (record.type === 'provider.removed') this.drop(record.data.provider_id);
		// The event carries no health, and a change of the vault or of a device is a change of what answers.
		else if (/^provider\.|^vault\.(un)?locked$|^device\.(on|off)line$/.test(record.type)) void this.load();
	}

	async #load(): Promise<void> {
		try {
			this.all = await listProviders();
			this.problem = undefined;
			this.ready = true;
		} catch (thrown) {
			this.problem = problemOf(thrown);
		}
	}
}
