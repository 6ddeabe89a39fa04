// What is looked for in one file: in what is shown while that is all of it, else by the device in the whole file. There
// each match comes as it is found, and is gone to through the window that holds it. The device tells so many at a time;
// only those are held here, and where each such part begins, so that one can go on and back through any number.

import type { SearchHit } from '$lib/api/types';
import type { ProblemError, Subscription } from '$lib/host';
import { search } from './calls';
import type { FileDocument } from './document.svelte';
import { findIn, MOST_FOUND, type Found } from './find-in';

/** After the last letter: nobody needs the matches of a word that is being typed. */
const WAIT_MS = 200;

/** The `nth` match of a line that the device found. */
interface Match {
	line: number;
	/** Of the line, in bytes. An older agent does not say, and cannot go on either. */
	offset?: number;
	nth: number;
}

/** Where a part begins, and how many matches are before it. */
interface Part {
	before: number;
	/** The last line before it that has a match. */
	after?: Match;
}

const FIRST: Part = { before: 0 };

export class FindInFile {
	query = $state('');
	/** The device still looks. */
	busy = $state(false);
	problem = $state.raw<ProblemError>();
	/** Among all that are known. */
	#at = $state(0);
	/** Those of one part. */
	#matches = $state.raw<readonly Match[]>([]);
	#part = $state.raw(FIRST);
	/** Known from the device; the last one has what comes next. */
	#parts: Part[] = [FIRST];
	#known = $state(0);
	/** After the last match that is known there are more. */
	#cut = $state(false);
	/** Where the line of the last match that is known begins, in bytes. */
	#reached = 0;
	#stream: Subscription | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#frame = 0;
	/** What the device is asked for now. */
	#asked: Part | undefined;

	constructor(
		private readonly device: string,
		private readonly file: FileDocument
	) {}

	/** In the lines shown. */
	readonly found: readonly Found[] = $derived.by(() => findIn(this.file.shown?.lines ?? [], this.query));
	readonly count: number = $derived.by(() => (this.file.partial ? this.#known : this.found.length));
	/** From 1. */
	readonly position: number = $derived.by(() => Math.min(this.#at, this.count - 1) + 1);
	/** There may be more than were counted. */
	readonly more: boolean = $derived.by(() =>
		this.file.partial ? this.#cut || this.busy : this.found.length >= MOST_FOUND
	);
	readonly current: Found | undefined = $derived.by(() => {
		if (!this.file.partial) return this.found[this.position - 1];
		const match = this.#matches[this.#at - this.#part.before];
		const first = this.file.shown?.firstLine;
		if (!match || first === undefined) return undefined;
		const here = this.found.filter(({ line }) => line === match.line - first);
		return here[match.nth] ?? here[0];
	});

	/** Begins anew, with the first match after what is shown. */
	look(): void {
		this.stop();
		this.#at = 0;
		this.#matches = [];
		this.#part = FIRST;
		this.#parts = [FIRST];
		this.#known = 0;
		this.#reached = 0;
		this.#cut = false;
		this.problem = undefined;
		if (!this.file.partial || this.query === '') return;
		this.busy = true;
		const from = this.file.shown?.start ?? 0;
		this.#timer = setTimeout(() => this.#ask(FIRST, ({ offset }) => (offset ?? 0) >= from), WAIT_MS);
	}

	stop(): void {
		clearTimeout(this.#timer);
		cancelAnimationFrame(this.#frame);
		this.#frame = 0;
		this.#stream?.close();
		this.busy = false;
		this.#asked = undefined;
	}

	step(by: 1 | -1): void {
		if (this.count === 0) return;
		const next = this.position - 1 + by;
		if (this.file.partial && next >= this.count && this.more) return this.#goOn(true);
		this.#goTo((next + this.count) % this.count);
	}

	/** What is shown now is after all that is known: what follows is asked for, and counted. */
	seen(start: number): void {
		if (this.file.partial && this.#known > 0 && start > this.#reached) this.#goOn(false);
	}

	#goTo(at: number): void {
		const part = this.#parts.findLast(({ before }) => before <= at) ?? FIRST;
		this.#at = at;
		if (part === this.#part || !this.file.partial) this.#go();
		else if (part !== this.#asked) this.#ask(part, (_, index) => index === this.#at);
	}

	/** The part after all that are known. Its first match is gone to when that is wanted. */
	#goOn(wanted: boolean): void {
		if (this.busy || !this.#cut) return;
		this.#ask(this.#parts.at(-1) ?? FIRST, () => wanted);
	}

	/** The matches of a part; `wanted` says which one is gone to, by its place among all that are known. */
	#ask(part: Part, wanted: (match: Match, index: number) => boolean): void {
		this.stop();
		const waiting: Match[] = [];
		const held: Match[] = [];
		const furthest = part === this.#parts.at(-1);
		const { after } = part;
		let gone = false;
		const flush = () => {
			this.#frame = 0;
			const came = waiting.splice(0);
			if (came.length === 0) return;
			const first = part.before + held.length;
			const next = gone ? -1 : came.findIndex((match, index) => wanted(match, first + index));
			if (next !== -1) this.#at = first + next;
			held.push(...came);
			this.#part = part;
			this.#matches = [...held];
			this.#known = Math.max(this.#known, part.before + held.length);
			if (furthest) this.#reached = held.at(-1)!.offset ?? Infinity;
			if (next === -1) return;
			gone = true;
			this.#go();
		};
		const over = (cut: boolean) => {
			cancelAnimationFrame(this.#frame);
			flush();
			this.busy = false;
			this.#asked = undefined;
			if (!gone && part === FIRST) this.#go();
			if (!furthest) return;
			this.#cut = cut;
			const last = held.at(-1);
			if (cut && last?.offset !== undefined)
				this.#parts.push({ before: part.before + held.length, after: last });
		};
		this.busy = true;
		this.#asked = part;
		this.problem = undefined;
		this.#stream = search(
			this.device,
			{
				path: this.file.path,
				q: this.query,
				regex: false,
				glob: '',
				from: after?.offset,
				from_line: after?.line
			},
			{
				hit: (hit) => {
					if (hit.line === after?.line) return;
					waiting.push(...matchesOf(hit));
					this.#frame ||= requestAnimationFrame(flush);
				},
				end: ({ truncated }) => over(truncated),
				failed: (problem) => {
					this.problem = problem;
					over(true);
				}
			}
		);
	}

	#go(): void {
		const match = this.file.partial ? this.#matches[this.#at - this.#part.before] : undefined;
		if (match) void this.file.toPlace(match.line, match.offset);
	}
}

function matchesOf({ line, offset, ranges }: SearchHit): Match[] {
	return Array.from({ length: Math.max(1, ranges.length) }, (_, nth) => ({
		line,
		offset: offset ?? undefined,
		nth
	}));
}
