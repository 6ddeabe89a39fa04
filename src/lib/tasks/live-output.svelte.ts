// A task's output kept up to date: the stream that heals by itself, the model it fills, and the way back to what
// came earlier. Reconnecting asks from the byte that is missing, so nothing is lost and nothing comes twice.

import type { OutputChunk, OutputGap, Task } from '$lib/api/types';
import {
	answer,
	app,
	device,
	inApp,
	problemOf,
	request,
	subscribe,
	type LinkState,
	type ProblemError,
	type StreamMessage,
	type SubscribeOptions,
	type Subscription
} from '$lib/host';
import { linesOf, OutputModel } from './output';

/** How much of a long output is loaded at first, and with each step back. Bytes. */
const WINDOW = 1_048_576;

export class LiveOutput {
	model: OutputModel;
	/** Changes at most once a frame when the lines do: read it to follow the model. */
	version = $state(0);
	link = $state.raw<LinkState>({ kind: 'connecting', since: Date.now() });
	/** When what is shown was last seen, ms since epoch by this device's clock; nothing while it comes from where it is. */
	keptAt = $state<number>();
	/** All output there will ever be has been read. */
	complete = $state(false);
	/** The reader looks at the end: only then are the oldest lines let go early. */
	following = true;
	loadingEarlier = $state(false);
	earlierProblem = $state.raw<ProblemError>();

	readonly #id: string;
	/** The device it is read from; the server where there is none. */
	readonly #at: string | undefined;
	readonly #ontask: ((task: Task) => void) | undefined;
	readonly #kept: number;
	#subscription: Subscription | undefined;
	#frame: number | undefined;

	constructor(task: Task, { at, ontask }: { at?: string; ontask?: (task: Task) => void } = {}) {
		this.#id = task.id;
		this.#at = at;
		this.#ontask = ontask;
		this.#kept = task.output_start;
		const start = Math.max(task.output_start, task.output_bytes - WINDOW);
		this.model = new OutputModel(start, { partial: start > task.output_start });
	}

	/** Whether there is output before the first line shown. */
	get hasEarlier(): boolean {
		void this.version;
		return this.model.start > this.#kept;
	}

	get canLoadEarlier(): boolean {
		return this.hasEarlier && this.model.canPrepend;
	}

	open(): void {
		this.#subscribe();
	}

	close(): void {
		this.#subscription?.close();
		if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
	}

	reconnect(): void {
		this.#subscription?.reconnect();
	}

	/** Puts the window before the first line in front; resolves to the number of lines that came. */
	async loadEarlier(): Promise<number> {
		if (this.loadingEarlier || !this.canLoadEarlier) return 0;
		this.loadingEarlier = true;
		this.earlierProblem = undefined;
		try {
			return await this.#earlier();
		} catch (thrown) {
			this.earlierProblem = problemOf(thrown);
			return 0;
		} finally {
			this.loadingEarlier = false;
		}
	}

	async #earlier(): Promise<number> {
		const end = this.model.start;
		// In the middle of a line that is longer than the window, twice the window finds its beginning.
		for (let size = WINDOW; ; size *= 2) {
			const from = Math.max(this.#kept, end - size);
			const bytes = await this.#read(from, end - from);
			if (this.model.start !== end) return 0;
			const lines = linesOf(from, bytes, from > this.#kept);
			if (lines.length === 0 && from > this.#kept) continue;
			const count = this.model.prepend(lines);
			this.#changed();
			return count;
		}
	}

	async #read(offset: number, limit: number): Promise<Uint8Array> {
		const pieces: Uint8Array[] = [];
		let taken = 0;
		// The server may answer with less than was asked for.
		while (taken < limit) {
			const piece = await this.#piece({ offset: offset + taken, limit: limit - taken });
			if (piece.length === 0) break;
			pieces.push(piece);
			taken += piece.length;
		}
		const bytes = new Uint8Array(taken);
		let at = 0;
		for (const piece of pieces) {
			bytes.set(piece, at);
			at += piece.length;
		}
		return bytes;
	}

	async #piece(query: { offset: number; limit: number }): Promise<Uint8Array> {
		if (this.#at) {
			const response = await device(this.#at).open(`/tasks/${this.#id}/output`, { query });
			return new Uint8Array(await response.arrayBuffer());
		}
		const params = { path: { id: this.#id }, query };
		const call = request.GET('/api/v1/tasks/{id}/output', { params, parseAs: 'arrayBuffer' });
		const data: unknown = await answer(call);
		return new Uint8Array(data as ArrayBuffer);
	}

	#subscribe(): void {
		this.#subscription?.close();
		const options: SubscribeOptions = {
			message: (message) => this.#take(message),
			link: (state) => {
				if (!this.complete) this.link = state;
				if (state.kind === 'live') this.keptAt = undefined;
				if (state.kind === 'reconnecting' || state.kind === 'offline') void this.#showKept();
			}
		};
		const path = `/tasks/${this.#id}/output`;
		const offset = this.model.next;
		this.#subscription = this.#at
			? device(this.#at).stream(path, { offset }, options)
			: subscribe(`/api/v1${path}?offset=${offset}`, options);
	}

	/** Nobody answers and nothing is shown yet: what the app has seen of it. */
	async #showKept(): Promise<void> {
		if (!inApp || this.#at || this.model.count > 0) return;
		const kept = await app()
			.keptOutput(this.#id)
			.catch(() => null);
		if (!kept || this.model.count > 0 || this.link.kind === 'live') return;
		this.model = new OutputModel(kept.start, { partial: kept.start > this.#kept });
		this.model.append(kept.start, bytesOf(kept.data));
		this.keptAt = kept.at;
		this.#changed();
	}

	#take(message: StreamMessage): void {
		if (message.event === 'output') {
			const chunk = JSON.parse(message.data) as OutputChunk;
			if (!this.model.append(chunk.offset, bytesOf(chunk.data))) {
				// A hole: ask again from what is missing, after this message has been dealt with.
				queueMicrotask(() => this.#subscribe());
				return;
			}
		} else if (message.event === 'gap') {
			const gap = JSON.parse(message.data) as OutputGap;
			this.model.gap(gap.from, gap.to);
		} else if (message.event === 'task') {
			this.#ontask?.(JSON.parse(message.data) as Task);
			return;
		} else if (message.event === 'end') {
			if (this.#at) this.#ontask?.(JSON.parse(message.data) as Task);
			this.model.end();
			this.complete = true;
			this.#subscription?.close();
			this.link = { kind: 'ended', since: Date.now() };
		} else {
			return;
		}
		this.#changed();
	}

	#changed(): void {
		if (document.hidden) {
			// No frames are drawn for a hidden page, and memory stays bounded all the same.
			this.model.trim(!this.following);
			this.version = this.model.version;
			return;
		}
		this.#frame ??= requestAnimationFrame(() => {
			this.#frame = undefined;
			this.model.trim(!this.following);
			this.version = this.model.version;
		});
	}
}

function bytesOf(base64: string): Uint8Array {
	const text = atob(base64);
	const bytes = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
	return bytes;
}
