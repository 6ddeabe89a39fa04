// One viewer of one terminal in the app. The program keeps the link, over whatever path, and loses nothing when that
// dies; here output is taken in order and what is typed is handed over in order.

import { Channel } from '@tauri-apps/api/core';
import type { TerminalEnded, TerminalState } from '$lib/api/types';
import type { AttachOptions, TerminalDoor } from '../device';
import { ProblemError } from '../problem';
import { MOST_PENDING } from '../terminal-link';
import { asProblem, call } from './call';
import type { TerminalNews } from './commands';

export class AppTerminal implements TerminalDoor {
	readonly #options: AttachOptions;
	readonly #number: Promise<number>;
	#next = 0;
	/** Bytes printed when this viewer came. */
	#replayedTo: number | undefined;
	#typed: Uint8Array[] = [];
	#pendingBytes = 0;
	#handing = false;
	#lostAt: number | undefined;
	#closed = false;

	constructor(device: string, terminal: string, options: AttachOptions) {
		this.#options = options;
		options.link({ kind: 'connecting', since: Date.now() });
		const news = new Channel<ArrayBuffer | TerminalNews>((one) => this.#take(one));
		this.#number = call<number>('attach_terminal', { device, terminal, from: 0, news });
		this.#number.catch((problem: ProblemError) => this.#fail(problem));
	}

	get pendingBytes(): number {
		return this.#pendingBytes;
	}

	type(data: Uint8Array): boolean {
		if (this.#closed || this.#pendingBytes + data.length > MOST_PENDING) return false;
		this.#typed.push(data);
		this.#pendingBytes += data.length;
		void this.#hand();
		return true;
	}

	resize(cols: number, rows: number): void {
		void this.#tell('resize_terminal', { cols, rows });
	}

	/** The program says a size again only after a loss, and then the last one that was said here. */
	letResizeGo(): void {}

	pause(): void {
		void this.#tell('pause_terminal', { paused: true });
	}

	resume(): void {
		void this.#tell('pause_terminal', { paused: false });
	}

	/** The program tries by itself, at once when the network changes. */
	reconnect(): void {}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		void this.#tell('close_terminal', {});
	}

	async #tell(command: string, args: Record<string, unknown>): Promise<void> {
		try {
			await call(command, { ...args, number: await this.#number });
		} catch {
			// What is wrong with the terminal is told by its own news.
		}
	}

	/** One after the other: calls may overtake each other, typed bytes must not. */
	async #hand(): Promise<void> {
		if (this.#handing) return;
		this.#handing = true;
		try {
			const headers = { 'x-foreman-terminal': String(await this.#number) };
			while (this.#typed.length > 0) {
				const data = joined(this.#typed.splice(0));
				await call('type_terminal', data, { headers });
				this.#pendingBytes -= data.length;
			}
		} catch {
			this.#typed = [];
			this.#pendingBytes = 0;
		} finally {
			this.#handing = false;
		}
	}

	#take(one: ArrayBuffer | TerminalNews): void {
		if (this.#closed) return;
		if (one instanceof ArrayBuffer) return this.#output(one);
		switch (one.kind) {
			case 'state':
				return this.#state(one.state as TerminalState);
			case 'attached':
				this.#lostAt = undefined;
				return this.#options.link({ kind: 'live', since: Date.now() });
			case 'gap':
				return this.#skipTo(one.start);
			case 'lost':
				this.#lostAt ??= Date.now();
				return this.#options.link({
					kind: 'reconnecting',
					since: this.#lostAt,
					retryAt: Date.now(),
					problem: new ProblemError('unreachable', one.message)
				});
			case 'ended':
				this.#closed = true;
				this.#options.ended(one.ended as TerminalEnded);
				return this.#options.link({ kind: 'ended', since: Date.now() });
			case 'failed':
				return this.#fail(asProblem(one.failure));
		}
	}

	#state(state: TerminalState): void {
		this.#replayedTo ??= state.terminal.output_bytes;
		this.#options.state(state);
	}

	#output(piece: ArrayBuffer): void {
		const offset = Number(new DataView(piece).getBigUint64(0));
		const data = new Uint8Array(piece, 8);
		if (offset > this.#next) this.#skipTo(offset);
		const fresh = data.subarray(this.#next - offset);
		if (fresh.length === 0) return;
		const replayed = this.#next < (this.#replayedTo ?? 0);
		this.#next += fresh.length;
		this.#options.output(fresh, replayed);
	}

	#skipTo(start: number): void {
		if (start <= this.#next) return;
		// What was printed before this viewer came, and is gone, was never its to miss.
		if (this.#next > 0) this.#options.gap(start - this.#next);
		this.#next = start;
	}

	#fail(problem: ProblemError): void {
		this.#closed = true;
		this.#options.link({ kind: 'ended', since: Date.now(), problem });
	}
}

function joined(pieces: Uint8Array[]): Uint8Array {
	const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
	let at = 0;
	for (const piece of pieces) {
		all.set(piece, at);
		at += piece.length;
	}
	return all;
}
