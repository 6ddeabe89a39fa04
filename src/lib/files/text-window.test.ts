import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countNewlines, isBinary, LONGEST_LINE, nthLine, windowOf } from './text-window';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('a window into a text', () => {
	it('is the whole of a short one', () => {
		expect(windowOf(bytes('a\r\nb\n'), 0, 5)).toMatchObject({
			start: 0,
			end: 5,
			lines: ['a', 'b'],
			firstLine: 1
		});
		expect(windowOf(bytes(''), 0, 0).lines).toEqual(['']);
	});

	it('shows whole lines only, and says where they lie', () => {
		expect(windowOf(bytes('lf a\nb\nc'), 10, 100)).toEqual({
			start: 15,
			end: 17,
			lines: ['b'],
			firstLine: undefined
		});
		expect(windowOf(bytes('b\nc'), 15, 18, 4)).toEqual({
			start: 15,
			end: 18,
			lines: ['b', 'c'],
			firstLine: 4
		});
	});

	it('goes through a file window by window without losing a line', () => {
		fc.assert(
			fc.property(
				fc.array(
					fc.string({ maxLength: 12 }).map((line) => line.replace(/[\r\n]/g, '')),
					{ minLength: 1 }
				),
				fc.integer({ min: 40, max: 90 }),
				(lines, step) => {
					const file = bytes(lines.join('\n') + '\n');
					const read: string[] = [];
					for (let at = 0; at < file.length;) {
						const part = windowOf(file.subarray(at, at + step), at, file.length, read.length + 1);
						expect(part.start).toBe(at);
						read.push(...part.lines);
						at = part.end;
					}
					expect(read).toEqual(lines);
				}
			)
		);
	});

	it('cuts a line that nobody reads', () => {
		expect(windowOf(bytes('x'.repeat(9_000)), 0, 9_000).lines[0]).toHaveLength(LONGEST_LINE + 1);
	});

	it('counts and finds lines', () => {
		expect(countNewlines(bytes('a\nb\n\n'))).toBe(3);
		expect([0, 1, 2, 3].map((n) => nthLine(bytes('a\nbb\nc'), n))).toEqual([0, 2, 5, undefined]);
	});

	it('knows what is no text', () => {
		expect(isBinary(bytes('grün 🤖'))).toBe(false);
		expect(isBinary(Uint8Array.of(65, 0, 66))).toBe(true);
		expect(isBinary(new Uint8Array(100).fill(0xff))).toBe(true);
	});
});
