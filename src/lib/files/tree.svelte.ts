// The folders of a device, branch by branch: each is asked for when it is opened. A device lists folders before files,
// so a folder of a hundred thousand files costs its tree one page.

import { SvelteMap } from 'svelte/reactivity';
import { problemOf, type ProblemError } from '$lib/host';
import { list } from './calls';
import { crumbs } from './paths';

const PAGE = 500;
/** More folders of one folder are not shown in the tree; the list beside it has all. */
const MOST = 2_000;

export interface Twig {
	name: string;
	path: string;
}

export interface Branch {
	open: boolean;
	/** Nothing until it was asked for. */
	folders?: readonly Twig[];
	/** There are more than are shown. */
	cut?: boolean;
	problem?: ProblemError;
}

export class FolderTree {
	readonly branches = new SvelteMap<string, Branch>();
	#asked = new Map<string, AbortController>();

	constructor(
		private readonly device: string,
		private readonly hidden: boolean
	) {}

	/** Opens the way to a folder, and the folder. */
	reveal(path: string, roots: readonly string[]): void {
		for (const step of crumbs(path, roots)) this.open(step.path);
	}

	open(path: string): void {
		const branch = this.branches.get(path);
		this.branches.set(path, { ...branch, open: true });
		if (!branch?.folders) void this.load(path);
	}

	shut(path: string): void {
		const branch = this.branches.get(path);
		if (branch) this.branches.set(path, { ...branch, open: false });
	}

	/** Asks again; what is shown stays until the answer is there. */
	async load(path: string): Promise<void> {
		this.#asked.get(path)?.abort();
		const asking = new AbortController();
		this.#asked.set(path, asking);
		try {
			const folders: Twig[] = [];
			let cursor: string | undefined;
			let onlyFolders = true;
			do {
				const page = await list(
					this.device,
					{ path, hidden: this.hidden, cursor, limit: PAGE },
					asking.signal
				);
				for (const { kind, name, path } of page.items) if (kind === 'directory') folders.push({ name, path });
				onlyFolders = page.items.every(({ kind }) => kind === 'directory');
				cursor = page.next ?? undefined;
			} while (cursor !== undefined && onlyFolders && folders.length < MOST);
			this.#put(path, { folders, cut: cursor !== undefined && onlyFolders, problem: undefined });
		} catch (thrown) {
			if (!asking.signal.aborted) this.#put(path, { problem: problemOf(thrown) });
		}
	}

	close(): void {
		for (const asking of this.#asked.values()) asking.abort();
	}

	#put(path: string, found: Partial<Branch>): void {
		this.branches.set(path, { open: false, ...this.branches.get(path), ...found });
	}
}
