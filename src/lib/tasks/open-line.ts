/**
 * The line a program is still writing: text may be overwritten from a column, which is how progress bars are drawn.
 *
 * Columns are UTF-16 units, not cells: a bar that is overwritten with wide characters may be off by one, plain text never.
 */

/** Text that looks the same throughout. `classes` is empty for plain text. */
export interface Segment {
	readonly text: string;
	readonly classes: string;
}

export class OpenLine {
	segments: Segment[] = [];
	length = 0;
	#column = 0;

	/** Writes at the column, over what stands there. */
	write(text: string, classes: string): void {
		if (text === '') return;
		if (this.#column > this.length) this.#append(' '.repeat(this.#column - this.length), '');
		if (this.#column === this.length) {
			this.#append(text, classes);
		} else {
			const before = slice(this.segments, 0, this.#column);
			const after = slice(this.segments, this.#column + text.length, this.length);
			this.segments = before;
			this.length = this.#column;
			this.#append(text, classes);
			for (const segment of after) this.#append(segment.text, segment.classes);
			this.#column += text.length;
			return;
		}
		this.#column = this.length;
	}

	/** Moves without writing; never before the first column. */
	moveTo(column: number): void {
		this.#column = Math.max(0, column);
	}

	moveBy(columns: number): void {
		this.moveTo(this.#column + columns);
	}

	/** `ESC [ mode K`: 0 to the end, 1 to the start, 2 all. The column stays. */
	erase(mode: number): void {
		if (mode === 2) {
			this.segments = [];
		} else if (mode === 1) {
			const kept = slice(this.segments, this.#column, this.length);
			this.segments = [{ text: ' '.repeat(Math.min(this.#column, this.length)), classes: '' }, ...kept];
		} else {
			this.segments = slice(this.segments, 0, this.#column);
		}
		this.length = this.segments.reduce((sum, segment) => sum + segment.text.length, 0);
	}

	#append(text: string, classes: string): void {
		const last = this.segments.at(-1);
		if (last?.classes === classes) {
			this.segments[this.segments.length - 1] = { text: last.text + text, classes };
		} else {
			this.segments.push({ text, classes });
		}
		this.length += text.length;
	}
}

/** The segments between two columns. Half a surrogate pair at a cut becomes a space. */
function slice(segments: Segment[], from: number, to: number): Segment[] {
	const kept: Segment[] = [];
	let at = 0;
	for (const { text, classes } of segments) {
		const part = whole(text.slice(Math.max(0, from - at), Math.max(0, to - at)));
		if (part !== '') kept.push({ text: part, classes });
		at += text.length;
	}
	return kept;
}

function whole(text: string): string {
	return text.replace(/^[\uDC00-\uDFFF]/, ' ').replace(/[\uD800-\uDBFF]$/, ' ');
}
