// A file as it is looked at: whole when it is short, else a window of it that moves. Nothing reads more than asked.

import type { FileEntry } from '$lib/api/types';
import { problemOf, type ProblemError } from '$lib/host';
import { read, stat } from './calls';
import { languageOf } from './languages';
import type { Token } from './highlight';
import { countNewlines, isBinary, nthLine, WHOLE, WINDOW, windowOf, type TextWindow } from './text-window';

/** Read at once while lines are counted. */
const STRIDE = 1024 * 1024;

export type Kind = 'text' | 'picture' | 'binary';

const PICTURES = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'];

export class FileDocument {
	entry = $state.raw<FileEntry>();
	kind = $state<Kind>();
	shown = $state.raw<TextWindow>();
	/** Of each line shown, as far as it is coloured. */
	tokens = $state.raw<(Token[] | undefined)[]>([]);
	problem = $state.raw<ProblemError>();
	/** Something is being read. */
	busy = $state(false);
	#abort = new AbortController();
	/** Of the window that is shown. */
	#colouring = new AbortController();
	/** Which window was asked for last. */
	#wanted = 0;

	constructor(
		private readonly device: string,
		readonly path: string
	) {}

	get size(): number {
		return this.entry?.size ?? 0;
	}

	/** Only a part is shown. */
	get partial(): boolean {
		return this.shown !== undefined && (this.shown.start > 0 || this.shown.end < this.size);
	}

	async open(line?: number): Promise<void> {
		await this.#try(async () => {
			const entry = await stat(this.device, this.path);
			this.entry = entry;
			if (entry.kind === 'directory') return;
			if (PICTURES.includes(entry.mime ?? '')) {
				this.kind = 'picture';
				return;
			}
			const start = entry.size === 0 ? new Uint8Array() : await this.#bytes(0, this.#step);
			if (isBinary(start)) {
				this.kind = 'binary';
				return;
			}
			this.kind = 'text';
			this.#show(windowOf(start, 0, entry.size));
			if (line !== undefined && this.partial) await this.#toLine(line);
		});
	}

	close(): void {
		this.#abort.abort();
		this.#colouring.abort();
	}

	async later(): Promise<void> {
		const shown = this.shown;
		if (!shown || shown.end >= this.size) return;
		const next = shown.firstLine && shown.firstLine + shown.lines.length;
		await this.#try(async () =>
			this.#show(windowOf(await this.#bytes(shown.end, WINDOW), shown.end, this.size, next))
		);
	}

	async earlier(): Promise<void> {
		const shown = this.shown;
		if (!shown || shown.start === 0) return;
		const from = Math.max(0, shown.start - WINDOW);
		await this.#try(async () => {
			const before = windowOf(await this.#bytes(from, shown.start - from), from, this.size);
			const firstLine = shown.firstLine && Math.max(1, shown.firstLine - before.lines.length);
			this.#show({ ...before, firstLine: before.start === 0 ? 1 : firstLine });
		});
	}

	/** To a part of the whole, 0 to 1. Which lines those are nobody has counted. */
	async jump(share: number): Promise<void> {
		const at = Math.floor(Math.min(1, Math.max(0, share)) * Math.max(0, this.size - WINDOW));
		await this.#try(async () => this.#show(windowOf(await this.#bytes(at, WINDOW), at, this.size)));
	}

	/** To a line of the whole file: lines are counted from the start where they are not known. False: it is shorter. */
	async toLine(line: number): Promise<boolean> {
		if (this.#holds(line)) return true;
		if (!this.partial) return false;
		let found = false;
		await this.#try(async () => {
			found = await this.#toLine(line);
		});
		return found;
	}

	/** To a line that begins at `offset`, with some of what is before it. An older agent does not say where. */
	async toPlace(line: number, offset: number | undefined): Promise<void> {
		const wanted = ++this.#wanted;
		if (this.#holds(line)) return;
		if (offset === undefined) return void (await this.toLine(line));
		await this.#try(async () => {
			const at = Math.max(0, offset - WINDOW / 4);
			const bytes = await this.#bytes(at, WINDOW);
			let shown = windowOf(bytes, at, this.size);
			const before = countNewlines(bytes.subarray(shown.start - at, offset - at));
			shown = { ...shown, firstLine: line - before };
			// A line longer than the window.
			if (shown.end <= offset) shown = windowOf(await this.#bytes(offset, WINDOW), offset, this.size, line);
			if (wanted === this.#wanted) this.#show(shown);
		});
	}

	#holds(line: number): boolean {
		const { firstLine, lines } = this.shown ?? {};
		return firstLine !== undefined && line >= firstLine && line < firstLine + lines!.length;
	}

	async #toLine(line: number): Promise<boolean> {
		let at = 0;
		let first = 1;
		const { shown } = this;
		if (shown?.firstLine && line >= shown.firstLine) [at, first] = [shown.start, shown.firstLine];
		while (at < this.size) {
			const bytes = await this.#bytes(at, STRIDE);
			const offset = nthLine(bytes, line - first);
			if (offset !== undefined && at + offset < this.size) {
				// A little before it, so that it does not stand at the very top.
				this.#show(windowOf(await this.#bytes(at + offset, WINDOW), at + offset, this.size, line));
				return true;
			}
			first += countNewlines(bytes);
			at += bytes.length;
			if (bytes.length === 0) break;
		}
		return false;
	}

	get #step(): number {
		return this.size <= WHOLE ? WHOLE : WINDOW;
	}

	async #bytes(start: number, length: number): Promise<Uint8Array> {
		const bytes = await read(this.device, this.path, start, length);
		this.#abort.signal.throwIfAborted();
		return bytes;
	}

	async #try(run: () => Promise<void>): Promise<void> {
		this.busy = true;
		this.problem = undefined;
		try {
			await run();
		} catch (thrown) {
			if (!this.#abort.signal.aborted) this.problem = problemOf(thrown);
		} finally {
			this.busy = false;
		}
	}

	#show(shown: TextWindow): void {
		this.shown = shown;
		this.tokens = [];
		this.#colouring.abort();
		this.#colouring = new AbortController();
		void this.#colour(shown, this.#colouring.signal);
	}

	/** A window from the middle begins as a file does, which inside a long comment or text is wrong until its end. */
	async #colour(shown: TextWindow, signal: AbortSignal): Promise<void> {
		const language = languageOf(this.entry?.name ?? '');
		if (!language) return;
		try {
			const { highlight } = await import('./highlight');
			const tokens: (Token[] | undefined)[] = Array.from({ length: shown.lines.length });
			await highlight(
				shown.lines,
				language,
				(from, lines) => {
					lines.forEach((line, index) => (tokens[from + index] = line));
					this.tokens = [...tokens];
				},
				signal
			);
		} catch {
			// The text is there; it only stays without colours.
		}
	}
}
