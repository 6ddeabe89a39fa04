// A model on its way to a device: how far it is, and stopping it. It goes on when nobody watches.

import type { Problem, PullProgress } from '$lib/api/types';
import { ProblemError, problemOf, type StreamMessage } from '$lib/host';

export type PullState = 'running' | 'done' | 'failed' | 'stopped';

/** Follows one pull to its end; rejects with what went wrong. */
export type Attend = (signal: AbortSignal, message: (message: StreamMessage) => void) => Promise<void>;

export class Pull {
	state = $state<PullState>('running');
	/** What Ollama says it does now. */
	status = $state('');
	/** Bytes of all layers that were named so far. */
	total = $state(0);
	completed = $state(0);
	problem = $state.raw<ProblemError>();

	/** Settles when it ended, however it did. */
	readonly ended: Promise<void>;

	#abort = new AbortController();
	#stopping = false;
	#layers = new Map<string, { total: number; completed: number }>();

	constructor(
		readonly model: string,
		attend: Attend,
		private readonly cancel: () => Promise<void>
	) {
		this.ended = this.#follow(attend);
	}

	/** What arrived stays on the device; pulled again, it goes on from there. */
	async stop(): Promise<void> {
		this.#stopping = true;
		try {
			await this.cancel();
		} catch (thrown) {
			this.#stopping = false;
			throw thrown;
		}
		if (this.state === 'running') this.state = 'stopped';
		this.#abort.abort();
	}

	/** Looks away. */
	leave(): void {
		this.#abort.abort();
	}

	async #follow(attend: Attend): Promise<void> {
		try {
			await attend(this.#abort.signal, (message) => this.#heard(message));
			// Ended without a word about how: the way to the device broke.
			if (this.state === 'running') this.#fail(new ProblemError('device_unreachable', ''));
		} catch (thrown) {
			if (!this.#abort.signal.aborted) this.#fail(problemOf(thrown));
		}
	}

	#heard({ event, data }: StreamMessage): void {
		if (event === 'done') this.state = 'done';
		else if (event === 'failed') this.#fail(failureFrom(data));
		else if (event === 'progress') this.#progress(JSON.parse(data) as PullProgress);
	}

	#progress({ status, total, completed }: PullProgress): void {
		this.status = status;
		if (total == null) return;
		// Ollama tells of one layer at a time, and names it in its status.
		this.#layers.set(status, { total, completed: completed ?? 0 });
		const layers = [...this.#layers.values()];
		this.total = layers.reduce((sum, layer) => sum + layer.total, 0);
		this.completed = layers.reduce((sum, layer) => sum + layer.completed, 0);
	}

	#fail(problem: ProblemError): void {
		if (this.state !== 'running') return;
		// Its end is what was asked for.
		if (this.#stopping) {
			this.state = 'stopped';
			return;
		}
		this.state = 'failed';
		this.problem = problem;
	}
}

function failureFrom(data: string): ProblemError {
	const said = JSON.parse(data) as Problem;
	return new ProblemError(said.code, said.detail, said.status);
}
