// Whose work is in what people install. The list is long, so it is fetched when somebody opens it.

export interface Part {
	name: string;
	version: string;
	licence: string;
	/** What came with it. */
	texts: readonly string[];
}

export async function allParts(): Promise<Part[]> {
	const { default: all } = await import('./all.json');
	const { parts, texts } = all as unknown as { parts: [string, string, string, number[]][]; texts: string[] };
	return parts.map(([name, version, licence, found]) => ({
		name,
		version,
		licence,
		texts: found.map((at) => texts[at] ?? '')
	}));
}

/** Those whose name or licence has all the words. */
export function matching(parts: readonly Part[], query: string): readonly Part[] {
	const words = query.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return parts;
	return parts.filter(({ name, licence }) => {
		const text = `${name} ${licence}`.toLowerCase();
		return words.every((word) => text.includes(word));
	});
}
