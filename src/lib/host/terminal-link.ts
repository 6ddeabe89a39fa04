// One viewer of one terminal, over a WebSocket that heals by itself. Output is asked for from the byte that is
// missing, and input is kept until the device says that it was typed, so that however often the connection breaks
// nothing is lost and nothing comes twice.

import type { TerminalEnded, TerminalState } from '$lib/api/types';
import { ProblemError } from './problem';
import { delayFor, type LinkState } from './subscribe';
import { decodeFrame, encodeFrame, type ReceivedFrame } from './terminal-frames';

export interface TerminalLinkOptions {
	/** The address for a viewer that has everything before `from`. */
	address: (from: number, writer: string) => string;
	/** Why a connection is refused: a WebSocket does not tell. Resolves to nothing when trying again may help. */
	refused: () => Promise<ProblemError | undefined>;
	/** `replayed`: printed before this viewer came, so questions in it to the terminal were answered long ago. */
	output: (data: Uint8Array, replayed: boolean) => void;
	/** Output that is gone, in bytes, between what was shown and what comes next. */
	gap: (bytes: number) => void;
	state: (state: TerminalState) => void;
	ended: (ended: TerminalEnded) => void;
	link: (state: LinkState) => void;
}

/** What was typed and not yet accepted may be this much; more is refused rather than kept without end. Bytes. */
export const MOST_PENDING = 1024 * 1024;
/** Well below the longest frame. Bytes. */
const PIECE = 32 * 1024;
/** Typed bytes are acknowledged at once; silence for so long means the connection is dead. */
const UNHEARD_MS = 10_000;
/** A page that was out of sight for so long doubts its connection. */
const ASLEEP_MS = 20_000;

export class TerminalLink {
	/** This page as a writer: the device counts its bytes. */
	readonly #writer = randomId();
	readonly #options: TerminalLinkOptions;
	#socket: WebSocket | undefined;
	#next = 0;
	/** Bytes printed when this viewer came first. */
	#replayedTo: number | undefined;
	/** Typed, not yet accepted; `#accepted` is the offset of its first byte. */
	#pending: Uint8Array[] = [];
	#pendingBytes = 0;
	#accepted = 0;
	#greeted = false;
	#window: { cols: number; rows: number } | undefined;
	#attempt = 0;
	#lostAt: number | undefined;
	#lastHeard = 0;
	#retry: ReturnType<typeof setTimeout> | undefined;
	#unheard: ReturnType<typeof setTimeout> | undefined;
	#paused = false;
	#closed = false;

	constructor(options: TerminalLinkOptions) {
		this.#options = options;
		document.addEventListener('visibilitychange', this.#wake);
		window.addEventListener('online', this.#wake);
		window.addEventListener('offline', this.#offline);
		this.#connect();
	}

	/** Typed bytes that the device has not confirmed. */
	get pendingBytes(): number {
		return this.#pendingBytes;
	}

	/** Types; false when too much waits already, and nothing of it was taken. */
	type(data: Uint8Array): boolean {
		if (this.#closed || this.#pendingBytes + data.length > MOST_PENDING) return false;
		const offset = this.#accepted + this.#pendingBytes;
		this.#pending.push(data);
		this.#pendingBytes += data.length;
		if (this.#greeted) this.#send(offset, data);
		return true;
	}

	/** Says how large this writer's window is, now and after each reconnect. */
	resize(cols: number, rows: number): void {
		this.#window = { cols, rows };
		if (this.#greeted) this.#socket?.send(encodeFrame({ kind: 'resize', cols, rows }));
	}

	/** This writer does not decide the size any more: somebody else did. */
	letResizeGo(): void {
		this.#window = undefined;
	}

	/** Takes no more output until `resume`: a WebSocket cannot be slowed down, only left and taken up again. */
	pause(): void {
		if (this.#paused || this.#closed) return;
		this.#paused = true;
		this.#drop();
	}

	resume(): void {
		if (!this.#paused) return;
		this.#paused = false;
		this.#connect();
	}

	reconnect(): void {
		if (this.#closed || this.#paused) return;
		this.#attempt = 0;
		this.#connect();
	}

	close(): void {
		this.#closed = true;
		this.#drop();
		document.removeEventListener('visibilitychange', this.#wake);
		window.removeEventListener('online', this.#wake);
		window.removeEventListener('offline', this.#offline);
	}

	#connect(): void {
		this.#drop();
		if (this.#lostAt === undefined && !this.#greetedOnce) {
			this.#options.link({ kind: 'connecting', since: Date.now() });
		}
		const address = new URL(this.#options.address(this.#next, this.#writer), location.href);
		address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
		const socket = (this.#socket = new WebSocket(address));
		socket.binaryType = 'arraybuffer';
		let opened = false;
		socket.onopen = () => (opened = true);
		socket.onmessage = ({ data }: MessageEvent<unknown>) => {
			if (socket !== this.#socket || !(data instanceof ArrayBuffer)) return;
			this.#lastHeard = Date.now();
			const frame = decodeFrame(new Uint8Array(data));
			if (frame) this.#take(frame);
		};
		socket.onclose = () => {
			if (socket === this.#socket) void this.#lost(opened);
		};
	}

	get #greetedOnce(): boolean {
		return this.#replayedTo !== undefined;
	}

	#drop(): void {
		clearTimeout(this.#retry);
		clearTimeout(this.#unheard);
		this.#unheard = undefined;
		this.#greeted = false;
		const socket = this.#socket;
		this.#socket = undefined;
		if (!socket) return;
		socket.onopen = socket.onmessage = socket.onclose = null;
		socket.close();
	}

	#take(frame: ReceivedFrame): void {
		switch (frame.kind) {
			case 'state':
				return this.#greet(frame.state);
			case 'output':
				return this.#output(frame.offset, frame.data);
			case 'gap':
				return this.#skipTo(frame.start);
			case 'accepted':
				return this.#confirm(frame.received);
			case 'ended':
				this.close();
				this.#options.ended(frame.ended);
				return this.#options.link({ kind: 'ended', since: Date.now() });
		}
	}

	#greet(state: TerminalState): void {
		this.#replayedTo ??= state.terminal.output_bytes;
		this.#confirm(state.input_received);
		this.#options.state(state);
		if (this.#greeted || this.#closed) return;
		this.#greeted = true;
		this.#attempt = 0;
		this.#lostAt = undefined;
		if (!state.may_write) this.#forgetInput();
		if (state.may_write && this.#window) this.resize(this.#window.cols, this.#window.rows);
		let offset = this.#accepted;
		for (const data of this.#pending) {
			this.#send(offset, data);
			offset += data.length;
		}
		this.#options.link({ kind: 'live', since: Date.now() });
	}

	#output(offset: number, data: Uint8Array): void {
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

	#send(offset: number, data: Uint8Array): void {
		for (let at = 0; at < data.length; at += PIECE) {
			const piece = data.subarray(at, at + PIECE);
			this.#socket?.send(encodeFrame({ kind: 'input', offset: offset + at, data: piece }));
		}
		this.#unheard ??= setTimeout(() => this.reconnect(), UNHEARD_MS);
	}

	#confirm(received: number): void {
		while (this.#pending.length > 0 && this.#accepted < received) {
			const first = this.#pending[0]!;
			const typed = Math.min(first.length, received - this.#accepted);
			this.#accepted += typed;
			this.#pendingBytes -= typed;
			if (typed === first.length) this.#pending.shift();
			else this.#pending[0] = first.subarray(typed);
		}
		clearTimeout(this.#unheard);
		this.#unheard = undefined;
		if (this.#pending.length > 0 && this.#greeted) {
			this.#unheard = setTimeout(() => this.reconnect(), UNHEARD_MS);
		}
	}

	#forgetInput(): void {
		this.#pending = [];
		this.#pendingBytes = 0;
	}

	async #lost(opened: boolean): Promise<void> {
		this.#drop();
		if (this.#closed || this.#paused) return;
		this.#lostAt ??= Date.now();
		if (navigator.onLine === false) return this.#options.link({ kind: 'offline', since: this.#lostAt });
		const problem = opened ? undefined : await this.#options.refused();
		if (this.#closed || this.#paused || this.#socket) return;
		if (problem && !problem.passing && problem.status >= 400 && problem.status < 500) {
			this.close();
			return this.#options.link({ kind: 'ended', since: Date.now(), problem });
		}
		const delay = delayFor(this.#attempt++);
		this.#options.link({
			kind: 'reconnecting',
			since: this.#lostAt,
			retryAt: Date.now() + delay,
			problem: problem ?? new ProblemError('unreachable', '')
		});
		this.#retry = setTimeout(() => this.#connect(), delay);
	}

	readonly #wake = () => {
		if (this.#closed || this.#paused || document.visibilityState === 'hidden') return;
		if (this.#lostAt !== undefined || Date.now() - this.#lastHeard > ASLEEP_MS) this.reconnect();
	};

	readonly #offline = () => {
		if (this.#closed) return;
		this.#drop();
		this.#lostAt ??= Date.now();
		this.#options.link({ kind: 'offline', since: this.#lostAt });
	};
}

/** Not `crypto.randomUUID`: that is missing on plain http addresses. */
function randomId(): string {
	return [...crypto.getRandomValues(new Uint8Array(16))]
		.map((byte) => byte.toString(16).padStart(2, '0'))
		.join('');
}
