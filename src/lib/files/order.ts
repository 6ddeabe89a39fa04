// How a folder is sorted, and what git says of its entries. Pure.

import type { FileEntry, GitStatus } from '$lib/api/types';

export const ORDERS = ['name', 'newest', 'largest'] as const;
export type Order = (typeof ORDERS)[number];

export function orderFrom(text: string | null): Order {
	return ORDERS.find((order) => order === text) ?? 'name';
}

/** A folder, or a link to one. */
export function isFolder(entry: FileEntry): boolean {
	return entry.kind === 'directory' || (entry.kind === 'symlink' && entry.target_kind === 'directory');
}

/** By name they come from the device. */
export function sorted(entries: readonly FileEntry[], order: Order): readonly FileEntry[] {
	if (order === 'name') return entries;
	const by = order === 'newest' ? newest : largest;
	return [...entries].sort((a, b) => Number(isFolder(b)) - Number(isFolder(a)) || by(a, b));
}

const newest = (a: FileEntry, b: FileEntry) => b.modified_at - a.modified_at;
const largest = (a: FileEntry, b: FileEntry) => b.size - a.size;

export type GitWord = 'untracked' | 'modified' | 'added' | 'deleted' | 'renamed' | 'conflicted';
const WORDS: readonly string[] = ['untracked', 'modified', 'added', 'deleted', 'renamed', 'conflicted'];

/** What git says of each entry of a folder; a folder says that something within it changed. */
export function gitWords(folder: string, status: GitStatus | undefined): ReadonlyMap<string, GitWord> {
	const words = new Map<string, GitWord>();
	const start = folder.endsWith('/') ? folder : `${folder}/`;
	for (const { path, staged, unstaged } of status?.entries ?? []) {
		if (!path.startsWith(start)) continue;
		const [name = '', ...deeper] = path.slice(start.length).split('/');
		const word = [unstaged, staged].find((one) => one != null && WORDS.includes(one)) as GitWord | undefined;
		if (name === '' || !word) continue;
		// `folder/` itself is untracked; anything else deeper makes it modified.
		const whole = deeper.length === 0 || (deeper.length === 1 && deeper[0] === '');
		if (whole) words.set(name, word);
		else if (!words.has(name)) words.set(name, 'modified');
	}
	return words;
}
