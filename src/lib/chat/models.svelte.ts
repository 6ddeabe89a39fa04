// What may be asked now: read once, and again when something of it changes.

import { createContext } from 'svelte';
import type { EventRecord } from '$lib/api/types';
import { problemOf, type ProblemError } from '$lib/host';
import { fetchModels, fetchRouting } from './calls';
import type { RoutingProfile } from './picker';
import type { Model } from './types';

const CHANGES = [
	'provider.',
	'model.',
	'routing.',
	'device.online',
	'device.offline',
	'device.updated',
	'vault.'
];
/** Several changes come at once; one look serves them all. */
const SETTLE_MS = 400;

export class Models {
	all = $state.raw<readonly Model[]>([]);
	profiles = $state.raw<readonly RoutingProfile[]>([]);
	/** Read at least once: none now means there is none. */
	ready = $state(false);
	problem = $state.raw<ProblemError>();

	#timer: ReturnType<typeof setTimeout> | undefined;

	readonly none = $derived(this.ready && this.all.length === 0);

	async load(): Promise<void> {
		try {
			const [models, routing] = await Promise.all([fetchModels(), fetchRouting()]);
			this.all = models;
			this.profiles = routing.profiles;
			this.problem = undefined;
			this.ready = true;
		} catch (thrown) {
			this.problem = problemOf(thrown);
		}
	}

	take(record: EventRecord): void {
		if (!CHANGES.some((start) => record.type.startsWith(start))) return;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => void this.load(), SETTLE_MS);
	}

	find(name: string): Model | undefined {
		return this.all.find((model) => `${model.provider}/${model.id}` === name);
	}
}

export const [useModels, provideModels] = createContext<Models>();
