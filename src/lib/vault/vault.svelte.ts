// How the vault stands, kept current, and the one place that asks a person to open it.

import { createContext } from 'svelte';
import type { EventRecord, VaultStatus } from '$lib/api/types';
import { answer, problemOf, request, type ProblemError } from '$lib/host';

/** What stands in the way: it is locked, or there is none yet. */
export type Obstacle = 'vault_locked' | 'vault_missing';

export function isObstacle(code: unknown): code is Obstacle {
	return code === 'vault_locked' || code === 'vault_missing';
}

export class Vault {
	status = $state.raw<VaultStatus>();
	problem = $state.raw<ProblemError>();
	/** The question on the screen now. */
	asking = $state<Obstacle>();

	#waiting: ((opened: boolean) => void)[] = [];

	/** `mayOpen`: whether whoever is here is allowed to; nobody else is asked. */
	constructor(private readonly mayOpen: () => boolean) {}

	async load(): Promise<void> {
		try {
			this.put(await answer(request.GET('/api/v1/vault')));
		} catch (thrown) {
			this.problem = problemOf(thrown);
		}
	}

	put(status: VaultStatus): void {
		this.status = status;
		this.problem = undefined;
		// Opened here or by somebody else: either way the question is answered.
		if (status.unlocked) this.#settle(true);
	}

	/** Events say that something changed, not how it stands now. */
	take(record: EventRecord): void {
		if (record.type.startsWith('vault.') && !record.type.startsWith('vault.key_')) void this.load();
	}

	/** Asks for the vault to be opened, or made. One question, however many calls wait for it. */
	open(obstacle: Obstacle): Promise<boolean> {
		if (!this.mayOpen()) return Promise.resolve(false);
		this.asking ??= obstacle;
		void this.load();
		return new Promise((resolve) => this.#waiting.push(resolve));
	}

	/** The question was closed without an answer. */
	dismiss(): void {
		this.#settle(false);
	}

	#settle(opened: boolean): void {
		this.asking = undefined;
		for (const resolve of this.#waiting.splice(0)) resolve(opened);
	}
}

export const [useVault, provideVault] = createContext<Vault>();
