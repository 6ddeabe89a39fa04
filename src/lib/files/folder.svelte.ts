// The entries of one folder, page after page: the first are shown at once, the rest comes while one looks.

import type { FileEntry, FileRoots, GitStatus } from '$lib/api/types';
import { problemOf, type ProblemError } from '$lib/host';
import { git, list, roots } from './calls';

const FIRST = 500;
const NEXT = 2_000;

export class Folder {
	/** Grows in place while pages come: read `version` to follow it. */
	entries: FileEntry[] = [];
	version = $state(0);
	/** Nothing is known yet. */
	loading = $state(true);
	complete = $state(false);
	problem = $state.raw<ProblemError>();
	git = $state.raw<GitStatus>();
	#abort: AbortController | undefined;

	constructor(private readonly device: string) {}

	async open(path: string, hidden: boolean): Promise<void> {
		this.#abort?.abort();
		const { signal } = (this.#abort = new AbortController());
		this.entries = [];
		this.version += 1;
		this.loading = true;
		this.complete = false;
		this.problem = undefined;
		void this.#askGit(path, signal);
		await this.#load(path, hidden, signal, []);
	}

	/** The same again: something changed. What is shown stays until the new is there. */
	async reload(path: string, hidden: boolean): Promise<void> {
		this.#abort?.abort();
		const { signal } = (this.#abort = new AbortController());
		void this.#askGit(path, signal);
		await this.#load(path, hidden, signal, []);
	}

	close(): void {
		this.#abort?.abort();
	}

	async #load(path: string, hidden: boolean, signal: AbortSignal, into: FileEntry[]): Promise<void> {
		try {
			let cursor: string | undefined;
			do {
				const page = await list(this.device, { path, hidden, cursor, limit: cursor ? NEXT : FIRST }, signal);
				if (signal.aborted) return;
				for (const entry of page.items) into.push(entry);
				this.entries = into;
				this.version += 1;
				this.loading = false;
				this.problem = undefined;
				cursor = page.next ?? undefined;
			} while (cursor !== undefined);
			this.complete = true;
		} catch (thrown) {
			if (signal.aborted) return;
			this.problem = problemOf(thrown);
			this.loading = false;
		}
	}

	async #askGit(path: string, signal: AbortSignal): Promise<void> {
		try {
			const status = await git(this.device, path);
			if (!signal.aborted) this.git = status;
		} catch {
			// Badges are an extra: without them the folder is whole.
			if (!signal.aborted) this.git = undefined;
		}
	}
}

/** Where a device's tree begins, asked once for each page that shows it. */
export class Roots {
	known = $state.raw<FileRoots>();
	problem = $state.raw<ProblemError>();

	constructor(private readonly device: string) {}

	async load(): Promise<void> {
		this.problem = undefined;
		try {
			this.known = await roots(this.device);
		} catch (thrown) {
			this.problem = problemOf(thrown);
		}
	}
}
