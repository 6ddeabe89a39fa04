// What the palette offers and how words find it. Pure: the dialog draws it.

export interface PaletteEntry {
	id: string;
	group: string;
	label: string;
	/** Quieter, beside the label. */
	detail?: string;
	/** Other words it is found by. */
	also?: string;
	run: () => void;
}

/**
 * Entries that contain every typed word, best first: a label that begins with the words, then one with a word
 * that begins with them, then anything else. Equal ones keep their order.
 */
export function matching(entries: readonly PaletteEntry[], query: string): PaletteEntry[] {
	const words = fold(query).split(/\s+/).filter(Boolean);
	if (words.length === 0) return [...entries];
	return entries
		.map((entry) => ({ entry, score: score(entry, words) }))
		.filter(({ score }) => score > 0)
		.sort((a, b) => b.score - a.score)
		.map(({ entry }) => entry);
}

function score(entry: PaletteEntry, words: string[]): number {
	const label = fold(entry.label);
	const everything = `${label} ${fold(entry.detail ?? '')} ${fold(entry.also ?? '')}`;
	if (!words.every((word) => everything.includes(word))) return 0;
	if (label.startsWith(words.join(' '))) return 3;
	if (words.every((word) => label.split(/[\s\-_.:/]+/).some((part) => part.startsWith(word)))) return 2;
	return 1;
}

/** Case and accents do not matter: "gerate" finds "Geräte". */
function fold(text: string): string {
	return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}

/** Consecutive entries of one group together, groups in the order of their best entry. */
export function grouped(entries: readonly PaletteEntry[]): { group: string; entries: PaletteEntry[] }[] {
	const groups = new Map<string, PaletteEntry[]>();
	for (const entry of entries) {
		const group = groups.get(entry.group);
		if (group) group.push(entry);
		else groups.set(entry.group, [entry]);
	}
	return [...groups].map(([group, entries]) => ({ group, entries }));
}
