import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linesOf, OutputModel, textOf, type OutputLine } from './output';
import { OutputSearch, step } from './output-search';

const encode = (text: string) => new TextEncoder().encode(text);

function shown(model: OutputModel): OutputLine[] {
	return Array.from({ length: model.count }, (_, index) => model.line(index)!);
}

function texts(model: OutputModel): string[] {
	return shown(model).map(textOf);
}

function whole(text: string | Uint8Array): OutputModel {
	const bytes = typeof text === 'string' ? encode(text) : text;
	const model = new OutputModel();
	model.append(0, bytes);
	return model;
}

/** Pieces that programs really print, and pieces that nobody should. */
const piece = fc.oneof(
	fc.constantFrom(
		'\n',
		'\r\n',
		'\r',
		'\b',
		'\t',
		'\x1b[31m',
		'\x1b[0m',
		'\x1b[m',
		'\x1b[1;38;5;208m',
		'\x1b[48;2;10;200;30m',
		'\x1b[K',
		'\x1b[2K',
		'\x1b[5C',
		'\x1b[3D',
		'\x1b]8;;https://example.org\x07',
		'\x1b]0;title\x1b\\',
		'\x1b[',
		'\x1b',
		'grün',
		'日本語',
		'🚀',
		'⠋ 42 %'
	),
	fc.string({ maxLength: 12 })
);
const output = fc.oneof(
	fc.array(piece, { maxLength: 60 }).map((pieces) => encode(pieces.join(''))),
	fc.uint8Array({ maxLength: 300 }),
	fc.array(fc.oneof(piece.map(encode), fc.uint8Array({ maxLength: 5 })), { maxLength: 40 }).map((parts) => {
		return Uint8Array.from(parts.flatMap((part) => [...part]));
	})
);

describe('bytes to lines', () => {
	it('gives the same lines however the bytes were cut', () => {
		fc.assert(
			fc.property(output, fc.array(fc.nat(400), { maxLength: 20 }), (bytes, cuts) => {
				const pieces = new OutputModel();
				let from = 0;
				for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
					const to = Math.min(cut, bytes.length);
					expect(pieces.append(from, bytes.subarray(from, to))).toBe(true);
					from = to;
				}
				const once = whole(bytes);
				once.end();
				pieces.end();
				expect(shown(pieces)).toEqual(shown(once));
				expect(pieces.next).toBe(bytes.length);
			}),
			{ numRuns: 500 }
		);
	});

	it('takes nothing twice when pieces overlap or come again', () => {
		fc.assert(
			fc.property(
				output,
				fc.array(fc.tuple(fc.nat(300), fc.nat(300)), { maxLength: 20 }),
				(bytes, ranges) => {
					const model = new OutputModel();
					for (const [a, b] of ranges) {
						const from = Math.min(a, b, bytes.length);
						const before = model.next;
						const taken = model.append(from, bytes.subarray(from, Math.max(a, b)));
						expect(taken).toBe(from <= before);
					}
					model.append(0, bytes);
					model.end();
					const once = whole(bytes);
					once.end();
					expect(shown(model)).toEqual(shown(once));
				}
			)
		);
	});

	it('splits plain text as it should, and knows where each line begins', () => {
		const line = fc
			.string({ unit: 'binary', maxLength: 20 })
			.map((text) => text.replace(/\p{Cc}|\p{Cs}/gu, ''));
		fc.assert(
			fc.property(fc.array(line), (lines) => {
				const text = lines.map((one) => `${one}\n`).join('');
				const model = whole(text);
				expect(texts(model)).toEqual(lines);
				const offsets: number[] = [];
				let offset = 0;
				for (const one of lines) {
					offsets.push(offset);
					offset += encode(one).length + 1;
				}
				expect(lines.map((_, index) => model.lines[index]!.offset)).toEqual(offsets);
			})
		);
	});

	it('refuses bytes after a hole', () => {
		const model = whole('one\n');
		expect(model.append(10, encode('later'))).toBe(false);
		expect(model.next).toBe(4);
		expect(texts(model)).toEqual(['one']);
	});

	it('shows a cut-off character only when all is said', () => {
		const model = whole(Uint8Array.of(0x61, 0xe2, 0x82));
		expect(texts(model)).toEqual(['a']);
		model.end();
		expect(texts(model)).toEqual(['a\ufffd']);
	});
});

describe('overwriting', () => {
	it('draws a progress bar in one line', () => {
		expect(texts(whole('10 %\r50 %\r100 % done\nnext'))).toEqual(['100 % done', 'next']);
	});

	it('keeps what a shorter text does not reach, as a terminal does', () => {
		expect(texts(whole('abcdef\rXY\n'))).toEqual(['XYcdef']);
		expect(texts(whole('abcdef\r\x1b[KXY\n'))).toEqual(['XY']);
		expect(texts(whole('abcdef\x1b[3D\x1b[K!\n'))).toEqual(['abc!']);
	});

	it('takes the carriage return of CR LF for nothing', () => {
		expect(texts(whole('one\r\ntwo\r\n'))).toEqual(['one', 'two']);
	});

	it('keeps colours on both sides of what was overwritten', () => {
		const model = whole('\x1b[31mredred\x1b[0m\r--\n');
		expect(model.lines[0]!.segments).toEqual([
			{ text: '--', classes: '' },
			{ text: 'dred', classes: 'ansi-fg-1' }
		]);
	});
});

describe('colours', () => {
	const classesOf = (text: string) =>
		whole(text)
			.line(0)!
			.segments.map((segment) => segment.classes);

	it('knows names, bright names, tables and true colours', () => {
		expect(classesOf('\x1b[1;32mok\x1b[0m plain')).toEqual(['ansi-fg-2 ansi-bold', '']);
		expect(classesOf('\x1b[91ma\x1b[38;5;9mb')).toEqual(['ansi-fg-9']);
		expect(classesOf('\x1b[38;2;0;0;255mblue')).toEqual(['ansi-fg-12']);
		expect(classesOf('\x1b[38:2::160:0:0mred')).toEqual(['ansi-fg-1']);
		expect(classesOf('\x1b[7minverse')).toEqual(['ansi-fg-page ansi-bg-text']);
		expect(classesOf('\x1b[44;7mswapped')).toEqual(['ansi-fg-4 ansi-bg-7']);
		expect(classesOf('\x1b[31ma\x1b[mb')).toEqual(['ansi-fg-1', '']);
	});

	it('carries a colour over the end of a line', () => {
		const model = whole('\x1b[33mone\ntwo\x1b[39mthree');
		expect(model.line(1)!.segments).toEqual([
			{ text: 'two', classes: 'ansi-fg-3' },
			{ text: 'three', classes: '' }
		]);
	});

	it('drops what is not for this view', () => {
		expect(texts(whole('\x1b]8;;https://example.org\x07link\x1b]8;;\x07 \x1b[?25lx\x07'))).toEqual([
			'link x'
		]);
	});
});

describe('bounds', () => {
	it('breaks a line without end, and names where each piece begins', () => {
		const model = new OutputModel(0, { limits: { lineLength: 10 } });
		model.append(0, encode('ä'.repeat(25)));
		expect(texts(model)).toEqual(['ä'.repeat(10), 'ä'.repeat(10), 'ä'.repeat(5)]);
		expect(shown(model).map((line) => line.offset)).toEqual([0, 20, 40]);
		expect(model.lines[0]!.continues).toBe(true);
	});

	it('lets the oldest lines go and loads them again', () => {
		const text = Array.from({ length: 1000 }, (_, n) => `line ${n}\n`).join('');
		const bytes = encode(text);
		const model = new OutputModel(0, { limits: { lines: 100 } });
		model.append(0, bytes);
		expect(model.trim()).toBe(910);
		expect(texts(model)[0]).toBe('line 910');
		expect(model.firstId).toBe(910);
		const start = model.start;
		const from = start - 500;
		const earlier = linesOf(from, bytes.subarray(from, start), true);
		model.prepend(earlier);
		expect(model.firstId).toBe(910 - earlier.length);
		expect(texts(model)).toEqual(
			text
				.split('\n')
				.slice(0, -1)
				.slice(1000 - model.count)
		);
	});

	it('takes back only what there is room for, and keeps it', () => {
		const bytes = encode(Array.from({ length: 1000 }, (_, n) => `line ${n}\n`).join(''));
		const model = new OutputModel(0, { limits: { lines: 100 } });
		model.append(0, bytes);
		model.trim();
		const start = model.start;
		expect(model.canPrepend).toBe(true);
		expect(model.prepend(linesOf(0, bytes.subarray(0, start), false))).toBe(60);
		expect(texts(model)[0]).toBe('line 850');
		expect(model.canPrepend).toBe(false);
		expect(model.trim(true)).toBe(0);
	});

	it('holds a bounded number of characters', () => {
		const model = new OutputModel(0, { limits: { characters: 10_000 } });
		for (let n = 0; n < 100; n += 1) {
			model.append(model.next, encode(`${'x'.repeat(999)}\n`));
			model.trim();
		}
		expect(model.count).toBeLessThanOrEqual(10);
		expect(model.start).toBe((100 - model.count) * 1000);
	});

	it('leaves out a partial first line', () => {
		const model = new OutputModel(7, { partial: true });
		model.append(7, encode('tail of one\ntwo\n'));
		expect(texts(model)).toEqual(['two']);
		expect(model.start).toBe(19);
	});

	it('marks where output is missing', () => {
		const model = whole('one\ntw');
		model.gap(6, 1_000);
		model.append(1_000, encode('after\n'));
		expect(texts(model)).toEqual(['one', 'tw', '', 'after']);
		expect(model.lines[2]!.gap).toEqual({ from: 6, to: 1_000 });
		model.gap(6, 1_000);
		expect(model.count).toBe(4);
	});
});

describe('search', () => {
	it('finds in what comes later exactly what a fresh search finds', () => {
		const word = fc.constantFrom('loss', 'Loss', 'epoch\n', ' ', '\n', 'lo', 'ss', '\x1b[31m', '\r');
		fc.assert(
			fc.property(fc.array(fc.array(word), { maxLength: 12 }), (parts) => {
				const model = new OutputModel(0, { limits: { lines: 8 } });
				const growing = new OutputSearch();
				for (const part of parts) {
					model.append(model.next, encode(part.join('')));
					growing.update(model, 'loss');
					model.trim();
					growing.update(model, 'loss');
				}
				const fresh = new OutputSearch();
				fresh.update(model, 'loss');
				expect(growing.matches).toEqual(fresh.matches);
			})
		);
	});

	it('minds case only when the query has a capital', () => {
		const model = whole('Loss loss\n');
		const search = new OutputSearch();
		search.update(model, 'loss');
		expect(search.matches).toHaveLength(2);
		search.update(model, 'Loss');
		expect(search.matches).toEqual([{ id: 0, from: 0, to: 4 }]);
	});

	it('steps around the end', () => {
		expect(step(3, 2, 1)).toBe(0);
		expect(step(3, 0, -1)).toBe(2);
		expect(step(0, -1, 1)).toBe(-1);
	});
});
