// One sign-in to a provider on its way, as the page shows it.

import { problemOf, type ProblemError, type ProviderStep } from '$lib/host';

/** What an attempt needs of the app. */
export interface Ways {
	begin(id: string, keepInVault: boolean, step: (step: ProviderStep) => void): Promise<void>;
	openPage(id: string): Promise<void>;
	cancel(id: string): Promise<void>;
}

export class Attempt {
	/** `asking`: nothing to do yet; `code` and `browser`: the person's turn. */
	state = $state<'asking' | 'code' | 'browser' | 'done' | 'failed' | 'given_up'>('asking');
	code = $state('');
	page = $state('');
	/** Milliseconds since the epoch, after which the code is worth nothing. */
	until = $state<number>();
	problem = $state.raw<ProblemError>();
	readonly ended: Promise<void>;

	constructor(
		readonly id: string,
		keepInVault: boolean,
		private readonly ways: Ways,
		private readonly now: () => number = Date.now
	) {
		this.ended = this.#run(keepInVault);
	}

	get waits(): boolean {
		return this.state === 'asking' || this.state === 'code' || this.state === 'browser';
	}

	async #run(keepInVault: boolean): Promise<void> {
		try {
			await this.ways.begin(this.id, keepInVault, (step) => this.#step(step));
			if (this.waits) this.state = 'done';
		} catch (thrown) {
			if (!this.waits) return;
			this.problem = problemOf(thrown);
			this.state = 'failed';
		}
	}

	#step(step: ProviderStep): void {
		if (!this.waits) return;
		this.state = step.kind;
		if (step.kind === 'code') {
			this.code = step.user_code;
			this.page = step.page;
			this.until = this.now() + step.expires_in * 1000;
		} else {
			// The person asked for a browser by signing in.
			this.open();
		}
	}

	open(): void {
		this.ways.openPage(this.id).catch((thrown) => {
			if (this.waits) this.problem = problemOf(thrown);
		});
	}

	giveUp(): void {
		if (!this.waits) return;
		this.state = 'given_up';
		void this.ways.cancel(this.id).catch(() => {});
	}
}
