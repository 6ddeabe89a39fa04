// What is looked for in one file: in what is shown while that is all of it, else by the device in the whole file. There
// each match comes as it is found, and is gone to through the window that holds it.

import type { SearchHit } from '$lib/api/types';
import type { ProblemError, Subscription } from '$lib/host';
import { search } from './calls';
import type { FileDocument } from './document.svelte';
import { findIn, MOST_FOUND, type Found } from './find-in';

/** After the last letter: nobody needs the matches of a word that is being typed. */
const WAIT_MS = 200;

/** The `nth` match of a line that the device found. */
interface Match {
	hit: SearchHit;
	nth: number;
}

export class FindInFile {
	query = $state('');
	/** The device still looks. */
	busy = $state(false);
	problem = $state.raw<ProblemError>();
	#at = $state(0);
	#matches = $state.raw<readonly Match[]>([]);
	#cut = $state(false);
	#stream: Subscription | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#frame = 0;

	constructor(
		private readonly device: string,
		private readonly file: FileDocument
	) {}

	/** In the lines shown. */
	readonly found: readonly Found[] = $derived.by(() => findIn(this.file.shown?.lines ?? [], this.query));
	readonly count: number = $derived.by(() => (this.file.partial ? this.#matches : this.found).length);
	/** From 1. */
	readonly position: number = $derived.by(() => Math.min(this.#at, this.count - 1) + 1);
	/** There may be more than were counted. */
	readonly more: boolean = $derived.by(() =>
		this.file.partial ? this.#cut || this.busy : this.found.length >= MOST_FOUND
	);
	readonly current: Found | undefined = $derived.by(() => {
		if (!this.file.partial) return this.found[this.position - 1];
		const match = this.#matches[this.#at];
		const first = this.file.shown?.firstLine;
		if (!match || first === undefined) return undefined;
		const here = this.found.filter(({ line }) => line === match.hit.line - first);
		return here[match.nth] ?? here[0];
	});

	/** Begins anew, with the first match after what is shown. */
	look(): void {
		this.stop();
		this.#at = 0;
		this.#matches = [];
		this.#cut = false;
		this.problem = undefined;
		if (!this.file.partial || this.query === '') return;
		this.busy = true;
		this.#timer = setTimeout(() => this.#ask(), WAIT_MS);
	}

	stop(): void {
		clearTimeout(this.#timer);
		cancelAnimationFrame(this.#frame);
		this.#stream?.close();
		this.busy = false;
	}

	step(by: 1 | -1): void {
		if (this.count === 0) return;
		this.#at = (this.position - 1 + by + this.count) % this.count;
		this.#go();
	}

	#ask(): void {
		const from = this.file.shown?.start ?? 0;
		const waiting: Match[] = [];
		let gone = false;
		const flush = () => {
			this.#frame = 0;
			this.#matches = [...this.#matches, ...waiting.splice(0)];
			const next = this.#matches.findIndex(({ hit }) => (hit.offset ?? 0) >= from);
			if (gone || next === -1) return;
			gone = true;
			this.#at = next;
			this.#go();
		};
		const over = () => {
			cancelAnimationFrame(this.#frame);
			flush();
			this.busy = false;
			if (!gone) this.#go();
		};
		this.#stream = search(
			this.device,
			{ path: this.file.path, q: this.query, regex: false, glob: '' },
			{
				hit: (hit) => {
					const matches = Math.max(1, hit.ranges.length);
					for (let nth = 0; nth < matches; nth += 1) waiting.push({ hit, nth });
					this.#frame ||= requestAnimationFrame(flush);
				},
				end: ({ truncated }) => {
					this.#cut = truncated;
					over();
				},
				failed: (problem) => {
					this.problem = problem;
					over();
				}
			}
		);
	}

	#go(): void {
		const match = this.file.partial ? this.#matches[this.#at] : undefined;
		if (match) void this.file.toPlace(match.hit.line, match.hit.offset ?? undefined);
	}
}
