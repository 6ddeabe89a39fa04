/** Cuts a line's segments at the matches of a search, so that each piece is wholly inside or outside of one. */
import type { Segment } from './open-line';
import type { Match } from './output-search';

export interface Piece {
	text: string;
	classes: string;
	/** Part of this match. */
	match?: Match;
}

/** `matches` are those of the line, in order and without overlap. */
export function piecesOf(segments: readonly Segment[], matches: readonly Match[]): Piece[] {
	if (matches.length === 0) return segments as Piece[];
	const pieces: Piece[] = [];
	let start = 0;
	let next = 0;
	for (const { text, classes } of segments) {
		const end = start + text.length;
		let at = start;
		while (at < end) {
			while (next < matches.length && matches[next]!.to <= at) next += 1;
			const match = matches[next];
			const inside = match !== undefined && match.from <= at;
			const to = Math.min(end, match === undefined ? end : inside ? match.to : match.from);
			pieces.push({ text: text.slice(at - start, to - start), classes, match: inside ? match : undefined });
			at = to;
		}
		start = end;
	}
	return pieces;
}
