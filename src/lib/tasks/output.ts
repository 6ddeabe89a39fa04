/**
 * A task's output as lines, made from bytes as they arrive.
 *
 * Bytes carry their offset, so what comes twice is skipped and nothing depends on how the stream was cut: a character,
 * an escape sequence or a line may be split anywhere. Memory is bounded: the oldest lines are let go and can be loaded
 * again by offset. Knows no network and no component.
 */
import { OpenLine, type Segment } from './open-line';
import { applySgr, PLAIN, styleClasses, type Style } from './sgr';

/** A line of output, or a place where output is missing. */
export interface OutputLine {
	/** Of the line's first byte, counted from the task's first byte. */
	readonly offset: number;
	readonly segments: readonly Segment[];
	/** Bytes that are no longer kept anywhere. */
	readonly gap?: { from: number; to: number };
	/** Too long for one line: it goes on in the next. */
	readonly continues?: boolean;
}

export interface OutputLimits {
	/** Lines held at once. */
	lines: number;
	/** Characters held at once, over all lines. */
	characters: number;
	/** Characters after which a line is broken. */
	lineLength: number;
}

export const LIMITS: OutputLimits = { lines: 100_000, characters: 24_000_000, lineLength: 8_192 };

const NEWLINE = 0x0a;
/** An escape sequence longer than this is not one. */
const LONGEST_ESCAPE = 2_048;
/** Without a newline in so many bytes, a partial first line is shown as it is. */
const LONGEST_SKIP = 65_536;
/** How much more is held while somebody reads back. */
const GENEROUS = 1.5;

export class OutputModel {
	/** Finished lines, oldest first. The line that is still being written is `open`. */
	lines: OutputLine[] = [];
	/** The identity of `lines[0]`; the next line's is one more. Falls when earlier lines are put in front. */
	firstId = 0;
	/** The offset of the byte that is expected next. */
	next: number;
	/** Rises with every change. */
	version = 0;

	readonly #limits: OutputLimits;
	#open = new OpenLine();
	#openOffset: number;
	#skipping: boolean;
	#characters = 0;
	#carry = new Uint8Array(0);
	#escape = '';
	#style: Style = PLAIN;
	#classes = '';

	/** `partial`: `start` may lie within a line; what comes before the first newline is left out. */
	constructor(start = 0, options: { partial?: boolean; limits?: Partial<OutputLimits> } = {}) {
		this.next = start;
		this.#openOffset = start;
		this.#skipping = options.partial ?? false;
		this.#limits = { ...LIMITS, ...options.limits };
	}

	/** The offset of the first byte shown. */
	get start(): number {
		return this.lines[0]?.offset ?? this.#openOffset;
	}

	/** Lines to show, the open one included. */
	get count(): number {
		return this.lines.length + (this.#open.length > 0 ? 1 : 0);
	}

	line(index: number): OutputLine | undefined {
		if (index < this.lines.length) return this.lines[index];
		if (index === this.lines.length && this.#open.length > 0) {
			return { offset: this.#openOffset, segments: this.#open.segments };
		}
		return undefined;
	}

	/** Takes bytes at their offset. False when there is a hole before them: nothing was taken, ask again from `next`. */
	append(offset: number, bytes: Uint8Array): boolean {
		if (offset > this.next) return false;
		const fresh = bytes.subarray(this.next - offset);
		if (fresh.length === 0) return true;
		let position = this.next - this.#carry.length;
		const joined = this.#carry.length > 0 ? concat(this.#carry, fresh) : fresh;
		this.next += fresh.length;
		let from = 0;
		while (from < joined.length) {
			const at = joined.indexOf(NEWLINE, from);
			if (at === -1) break;
			this.#take(joined.subarray(from, at), position);
			position += at + 1 - from;
			from = at + 1;
			this.#finishLine(position);
		}
		const rest = joined.subarray(from);
		const held = incompleteTail(rest);
		this.#take(rest.subarray(0, rest.length - held), position);
		this.#carry = rest.slice(rest.length - held);
		this.version += 1;
		return true;
	}

	/** Notes that bytes are no longer kept. */
	gap(from: number, to: number): void {
		if (to <= this.next) return;
		this.#flush();
		if (this.#open.length > 0) this.#finishLine(this.next);
		this.#push({ offset: this.next, segments: [], gap: { from: Math.max(from, this.next), to } });
		this.next = to;
		this.#openOffset = to;
		this.#skipping = false;
		this.#escape = '';
		this.version += 1;
	}

	/** All is said: a character that was cut off is shown as such. */
	end(): void {
		this.#flush();
		this.version += 1;
	}

	/**
	 * Puts lines before the first one, which must begin where they end: as many of the last of them as there is room
	 * for. Returns how many.
	 */
	prepend(earlier: OutputLine[]): number {
		let count = 0;
		let characters = this.#characters;
		for (let index = earlier.length - 1; index >= 0 && count < this.#roomInFront; index -= 1) {
			characters += lengthOf(earlier[index]!);
			if (characters > this.#limits.characters * GENEROUS) break;
			this.#characters = characters;
			count += 1;
		}
		this.lines = [...earlier.slice(earlier.length - count), ...this.lines];
		this.firstId -= count;
		this.version += 1;
		return count;
	}

	/** Whether it is worth asking for more lines to put in front. */
	get canPrepend(): boolean {
		const enough = this.#characters < this.#limits.characters * (GENEROUS - 0.1);
		return enough && this.#roomInFront > this.#limits.lines * 0.05;
	}

	get #roomInFront(): number {
		return Math.floor(this.#limits.lines * GENEROUS) - this.lines.length;
	}

	/** Lets the oldest lines go until the limits hold; `generous`, for somebody who reads back, holds half as much again. */
	trim(generous = false): number {
		const factor = generous ? GENEROUS : 1;
		const maxLines = this.#limits.lines * factor;
		const maxCharacters = this.#limits.characters * factor;
		if (this.lines.length <= maxLines && this.#characters <= maxCharacters) return 0;
		// A tenth more than needed, so that not every line moves the whole list.
		let count = Math.max(0, this.lines.length - Math.floor(maxLines * 0.9));
		let characters = this.#characters;
		for (const line of this.lines.slice(0, count)) characters -= lengthOf(line);
		for (let line = this.lines[count]; line && characters > maxCharacters * 0.9; line = this.lines[count]) {
			characters -= lengthOf(line);
			count += 1;
		}
		this.#characters = characters;
		this.lines = this.lines.slice(count);
		this.firstId += count;
		this.version += 1;
		return count;
	}

	#flush(): void {
		if (this.#carry.length === 0) return;
		const position = this.next - this.#carry.length;
		const carry = this.#carry;
		this.#carry = new Uint8Array(0);
		this.#take(carry, position);
	}

	/** Bytes of one line, without its newline. */
	#take(bytes: Uint8Array, position: number): void {
		if (bytes.length === 0) return;
		if (this.#skipping) {
			if (position + bytes.length - this.#openOffset < LONGEST_SKIP) return;
			this.#skipping = false;
			this.#openOffset = position;
		}
		const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
		let from = 0;
		while (from < text.length) {
			if (this.#escape !== '') {
				from = this.#continueEscape(text, from);
				continue;
			}
			const at = controlFrom(text, from);
			if (at > from) this.#write(text, from, at, position);
			if (at < text.length) this.#control(text, at);
			from = at + 1;
		}
	}

	#write(text: string, from: number, to: number, position: number): void {
		while (from < to) {
			const room = this.#limits.lineLength - this.#open.length;
			if (room <= 0) {
				// Where the next line begins, in bytes: what was decoded before it, encoded again.
				this.#breakLine(position + new TextEncoder().encode(text.slice(0, from)).length);
				continue;
			}
			let cut = Math.min(to, from + room);
			if (cut < to && isHighSurrogate(text.charCodeAt(cut - 1))) cut += 1;
			this.#open.write(text.slice(from, cut), this.#classes);
			from = cut;
		}
	}

	#control(text: string, at: number): void {
		const code = text.charCodeAt(at);
		if (code === 0x0d) this.#open.moveTo(0);
		else if (code === 0x08) this.#open.moveBy(-1);
		else if (code === 0x1b) this.#escape = '\x1b';
		// A bell says nothing here; other control characters are shown by their picture.
		else if (code !== 0x07)
			this.#open.write(String.fromCharCode(code === 0x7f ? 0x2421 : 0x2400 + code), this.#classes);
	}

	/** Reads on in an escape sequence; returns where the text after it begins. */
	#continueEscape(text: string, from: number): number {
		for (let i = from; i < text.length; i += 1) {
			this.#escape += text[i];
			if (!escapeEnds(this.#escape)) continue;
			this.#runEscape(this.#escape);
			this.#escape = '';
			return i + 1;
		}
		return text.length;
	}

	#runEscape(sequence: string): void {
		if (sequence[1] !== '[') return;
		const final = sequence.at(-1);
		const parameters = sequence.slice(2, -1);
		const first = Number.parseInt(parameters, 10);
		const amount = Math.min(Number.isNaN(first) ? 1 : first, this.#limits.lineLength);
		if (final === 'm' && /^[\d;:]*$/.test(parameters)) {
			this.#style = applySgr(this.#style, parameters);
			this.#classes = styleClasses(this.#style);
		} else if (final === 'K') this.#open.erase(Number.isNaN(first) ? 0 : first);
		else if (final === 'G') this.#open.moveTo(amount - 1);
		else if (final === 'C') this.#open.moveBy(amount);
		else if (final === 'D') this.#open.moveBy(-amount);
	}

	#finishLine(nextOffset: number): void {
		this.#escape = '';
		if (!this.#skipping) this.#push({ offset: this.#openOffset, segments: this.#open.segments });
		this.#skipping = false;
		this.#open = new OpenLine();
		this.#openOffset = nextOffset;
	}

	#breakLine(nextOffset: number): void {
		this.#push({ offset: this.#openOffset, segments: this.#open.segments, continues: true });
		this.#open = new OpenLine();
		this.#openOffset = nextOffset;
	}

	#push(line: OutputLine): void {
		this.lines.push(line);
		this.#characters += lengthOf(line);
	}
}

/** The lines of a block that ends where a known line begins. `partial`: it may begin within a line. */
export function linesOf(start: number, bytes: Uint8Array, partial: boolean): OutputLine[] {
	const model = new OutputModel(start, { partial });
	model.append(start, bytes);
	model.end();
	const last = model.line(model.lines.length);
	return last ? [...model.lines, last] : model.lines;
}

/** The line without its colours. */
export function textOf(line: OutputLine): string {
	return line.segments.map((segment) => segment.text).join('');
}

/** A line costs something even when it is empty. */
function lengthOf(line: OutputLine): number {
	return line.segments.reduce((sum, segment) => sum + segment.text.length, 16);
}

function concat(one: Uint8Array, two: Uint8Array): Uint8Array {
	const joined = new Uint8Array(one.length + two.length);
	joined.set(one);
	joined.set(two, one.length);
	return joined;
}

/** How many bytes at the end are the beginning of a character. */
function incompleteTail(bytes: Uint8Array): number {
	for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
		const byte = bytes[bytes.length - back]!;
		if (byte < 0x80) return 0;
		if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
	}
	return 0;
}

/** The next control character other than a tab, or the end. */
function controlFrom(text: string, from: number): number {
	for (let i = from; i < text.length; i += 1) {
		const code = text.charCodeAt(i);
		if ((code < 0x20 && code !== 0x09) || code === 0x7f) return i;
	}
	return text.length;
}

function escapeEnds(sequence: string): boolean {
	if (sequence.length < 2) return false;
	if (sequence.length > LONGEST_ESCAPE) return true;
	const last = sequence.charCodeAt(sequence.length - 1);
	switch (sequence[1]) {
		case '[':
			return sequence.length > 2 && last >= 0x40 && last <= 0x7e;
		case ']':
		case 'P':
		case '_':
		case '^':
			return last === 0x07 || sequence.endsWith('\x1b\\');
		default:
			return last < 0x20 || last > 0x2f;
	}
}

function isHighSurrogate(code: number): boolean {
	return code >= 0xd800 && code <= 0xdbff;
}
