import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Blocks } from './blocks';
import { safeAddress, withCharacters } from './links';

const raws = (text: string) => new Blocks().of(text).map((token) => token.raw);

/** Pieces of Markdown that open, close and continue each other. */
const PIECES = [
	'word ',
	'\n',
	'\n\n',
	'- a\n',
	'  - b\n',
	'1. one\n',
	'```rust\n',
	'```\n',
	'    code\n',
	'> quote\n',
	'# head\n',
	'---\n',
	'| a | b |\n| - | - |\n',
	'| 1 | 2 |\n',
	'$$\nx^2\n$$\n',
	'$x$',
	'**bold**',
	'`code`',
	'<b>html</b>\n',
	'\\[ y \\]\n',
	'\t',
	'[l](https://a.b)',
	'ä€😀'
];

describe('blocks that grow', () => {
	it('are the same however the text came', () => {
		fc.assert(
			fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 40 }), (pieces) => {
				const growing = new Blocks();
				let text = '';
				for (const piece of pieces) {
					text += piece;
					growing.of(text);
				}
				const whole = new Blocks().of(text).filter((token) => token.type !== 'space');
				const grown = growing.of(text).filter((token) => token.type !== 'space');
				expect(grown.map(({ type, raw }) => [type, raw.trimEnd()])).toEqual(
					whole.map(({ type, raw }) => [type, raw.trimEnd()])
				);
			}),
			{ numRuns: 400 }
		);
	});

	it('keep what is done: an answer of 200 kB is not parsed again for each piece', () => {
		const blocks = new Blocks();
		let text = '';
		for (let at = 0; at < 2_000; at += 1) {
			text += at % 5 === 4 ? 'and the paragraph ends here.\n\n' : 'some words of a paragraph that goes on ';
			blocks.of(text);
		}
		const first = blocks.of(text)[0];
		expect(blocks.of(`${text}more`)[0]).toBe(first);
		expect(blocks.parsed).toBeLessThan(text.length * 12);
	});

	it('start over when the text is another', () => {
		const blocks = new Blocks();
		blocks.of('one\n\ntwo\n\nthree\n\nfour');
		expect(blocks.of('# other').map((token) => token.type)).toEqual(['heading']);
	});

	it('lose nothing of a code block that is not closed', () => {
		expect(raws('```py\nprint(1)\n').join('')).toContain('print(1)');
	});
});

describe('formulas', () => {
	const types = (text: string) =>
		JSON.stringify(new Blocks().of(text)).match(/"type":"formula(Block)?"/g)?.length ?? 0;

	it.each([
		['$x^2$', 1],
		['so $a_1$ and \\(b\\)', 2],
		['$$\nE = mc^2\n$$', 1],
		['\\[ \\frac{1}{2} \\]', 1],
		['it costs $5 and $10', 0],
		['`$x$`', 0],
		['\\$x$', 0]
	])('%s has %i', (text, count) => {
		expect(types(text)).toBe(count);
	});
});

describe('addresses', () => {
	it.each([
		'javascript:alert(1)',
		'JaVaScRiPt:alert(1)',
		' java\nscript:alert(1)',
		'data:text/html,<script>alert(1)</script>',
		'vbscript:x',
		'file:///etc/passwd',
		'//evil.example',
		'blob:https://a/b',
		'foreman://pair'
	])('%s is not opened', (href) => expect(safeAddress(href)).toBeUndefined());

	it('of the web are', () => expect(safeAddress('https://a.example/x?y=1')).toBe('https://a.example/x?y=1'));
});

it('names of characters become characters, and only those', () => {
	expect(withCharacters('a &lt;b&gt; &amp; &#65;&#x1F600; &nope; &#0;')).toBe('a <b> & A😀 &nope; \ufffd');
});
