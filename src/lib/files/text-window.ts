// A part of a text file as lines, cut where lines begin. A file too large to hold is looked at through it. Pure.

export interface TextWindow {
	/** Of the first byte of the first line. */
	start: number;
	/** After the last byte shown. */
	end: number;
	lines: string[];
	/** From 1; nothing when nobody counted up to here. */
	firstLine?: number;
}

/** Bytes of a window of a large file, and of a file that is read whole. */
export const WINDOW = 256 * 1024;
export const WHOLE = 1024 * 1024;
/** A longer line is shown cut: nobody reads it, and it would stop the page. */
export const LONGEST_LINE = 4_000;

const NEWLINE = 0x0a;

/**
 * The whole lines among bytes that were read from `at`. `size` is the file's: at its ends nothing is left out.
 * A window without any newline is one line.
 */
export function windowOf(bytes: Uint8Array, at: number, size: number, firstLine?: number): TextWindow {
	let from = 0;
	if (at > 0 && firstLine === undefined) {
		const newline = bytes.indexOf(NEWLINE);
		from = newline === -1 || newline === bytes.length - 1 ? 0 : newline + 1;
	}
	let to = bytes.length;
	if (at + bytes.length < size) {
		const newline = bytes.lastIndexOf(NEWLINE);
		if (newline > from) to = newline + 1;
	}
	return {
		start: at + from,
		end: at + to,
		lines: linesOf(bytes.subarray(from, to)),
		firstLine: at + from === 0 ? 1 : firstLine
	};
}

/** A newline at the end ends the last line and begins none. */
function linesOf(bytes: Uint8Array): string[] {
	const text = new TextDecoder().decode(bytes);
	const lines = text.split('\n');
	if (lines.length > 1 && lines.at(-1) === '') lines.pop();
	return lines.map((line) => {
		const whole = line.endsWith('\r') ? line.slice(0, -1) : line;
		return whole.length > LONGEST_LINE ? `${whole.slice(0, LONGEST_LINE)}…` : whole;
	});
}

/** Not text: a byte that text does not have, or too much that is no UTF-8. */
export function isBinary(bytes: Uint8Array): boolean {
	const sample = bytes.subarray(0, 8_192);
	if (sample.includes(0)) return true;
	const text = new TextDecoder().decode(sample);
	const strange = text.split('\ufffd').length - 1;
	return strange > Math.max(3, text.length * 0.1);
}

export function countNewlines(bytes: Uint8Array): number {
	let count = 0;
	for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
	return count;
}

/** Where the `n`th line after the first byte begins; nothing when it does not begin in here. From 0. */
export function nthLine(bytes: Uint8Array, n: number): number | undefined {
	let at = 0;
	for (let seen = 0; seen < n; seen += 1) {
		const newline = bytes.indexOf(NEWLINE, at);
		if (newline === -1) return undefined;
		at = newline + 1;
	}
	return at;
}
