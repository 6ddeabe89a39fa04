// Words in lines. Pure.

export interface Found {
	/** Index of the line, from 0. */
	line: number;
	from: number;
	to: number;
}

export const MOST_FOUND = 5_000;

/** Upper and lower case are the same while the query has no upper case. */
export function findIn(lines: readonly string[], query: string): Found[] {
	if (query === '') return [];
	const exact = query !== query.toLowerCase();
	const found: Found[] = [];
	for (const [line, text] of lines.entries()) {
		const folded = exact ? text : text.toLowerCase();
		// Some letters change their length with their case.
		const searched = folded.length === text.length ? folded : text;
		for (let at = searched.indexOf(query); at !== -1; at = searched.indexOf(query, at + query.length)) {
			found.push({ line, from: at, to: at + query.length });
			if (found.length >= MOST_FOUND) return found;
		}
	}
	return found;
}

export interface Piece {
	text: string;
	colour?: string;
	italic?: boolean;
	found?: Found;
}

/** A line's tokens cut where matches begin and end. `found` are those of the line, in order. */
export function cut(
	tokens: readonly { text: string; colour?: string; italic?: boolean }[],
	found: readonly Found[]
): Piece[] {
	if (found.length === 0) return tokens as Piece[];
	const pieces: Piece[] = [];
	let start = 0;
	for (const token of tokens) {
		const end = start + token.text.length;
		for (let at = start; at < end;) {
			const inside = found.find(({ from, to }) => from <= at && at < to);
			const next = inside ?? found.find(({ from }) => from > at);
			const to = Math.min(end, inside ? inside.to : (next?.from ?? end));
			pieces.push({ ...token, text: token.text.slice(at - start, to - start), found: inside });
			at = to;
		}
		start = end;
	}
	return pieces;
}
