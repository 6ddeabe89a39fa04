/**
 * Finds text in output, case-insensitively unless the query has a capital letter. Only what is new is read again when
 * output grows; matches are named by line identity, so they stay right when lines are let go or put in front.
 */
import { textOf, type OutputModel } from './output';

export interface Match {
	/** The line's identity: `firstId` + index. */
	readonly id: number;
	/** In UTF-16 units of the line's text. */
	readonly from: number;
	readonly to: number;
}

/** More are not counted: nobody steps through them, and they would cost memory. */
export const MOST_MATCHES = 10_000;

export class OutputSearch {
	matches: Match[] = [];
	#query = '';
	#exact = false;
	/** Identities of the finished lines already read, from and to (exclusive). */
	#from = 0;
	#to = 0;

	get query(): string {
		return this.#query;
	}

	/** Looks again: from the start for another query, else only through what is new. */
	update(model: OutputModel, query: string): void {
		const exact = query !== query.toLowerCase();
		const end = model.firstId + model.lines.length;
		const first = model.firstId;
		if (query !== this.#query || first < this.#from || first > this.#to) {
			this.#query = query;
			this.#exact = exact;
			this.matches = [];
			this.#to = first;
		}
		this.#from = first;
		if (query === '') {
			this.#to = end;
			return;
		}
		// The open line may have changed, and lines that were let go no longer count.
		this.matches = this.matches.filter((match) => match.id >= first && match.id < this.#to);
		for (
			let index = this.#to - first;
			index < model.count && this.matches.length < MOST_MATCHES;
			index += 1
		) {
			const line = model.line(index);
			if (line) this.#find(first + index, textOf(line));
		}
		this.#to = end;
	}

	#find(id: number, text: string): void {
		const haystack = this.#exact ? text : text.toLowerCase();
		// Lower case can be longer (İ): then positions would not fit, so the text is taken as it is.
		const searched = haystack.length === text.length ? haystack : text;
		let at = searched.indexOf(this.#query);
		while (at !== -1 && this.matches.length < MOST_MATCHES) {
			this.matches.push({ id, from: at, to: at + this.#query.length });
			at = searched.indexOf(this.#query, at + this.#query.length);
		}
	}
}

/** The match to go to: the next or previous one from `current`, around the end. */
export function step(count: number, current: number, by: 1 | -1): number {
	return count === 0 ? -1 : (current + by + count) % count;
}

/** The matches of each line. */
export function grouped(matches: readonly Match[]): ReadonlyMap<number, Match[]> {
	const map = new Map<number, Match[]>();
	for (const match of matches) {
		const line = map.get(match.id);
		if (line) line.push(match);
		else map.set(match.id, [match]);
	}
	return map;
}
