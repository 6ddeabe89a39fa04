import fc from 'fast-check';
import { expect, it } from 'vitest';
import { piecesOf } from './highlight';

it('cuts at both ends of a match that spans segments', () => {
	const match = { id: 0, from: 2, to: 5 };
	expect(
		piecesOf(
			[
				{ text: 'abcd', classes: '' },
				{ text: 'efg', classes: 'ansi-bold' }
			],
			[match]
		)
	).toEqual([
		{ text: 'ab', classes: '', match: undefined },
		{ text: 'cd', classes: '', match },
		{ text: 'e', classes: 'ansi-bold', match },
		{ text: 'fg', classes: 'ansi-bold', match: undefined }
	]);
});

it('loses and repeats nothing', () => {
	const texts = fc.array(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 });
	fc.assert(
		fc.property(texts, fc.uniqueArray(fc.nat(40), { maxLength: 8 }), (parts, cuts) => {
			const whole = parts.join('');
			const edges = cuts.filter((cut) => cut <= whole.length).sort((a, b) => a - b);
			const matches = [];
			for (let i = 0; i + 1 < edges.length; i += 2)
				matches.push({ id: 0, from: edges[i]!, to: edges[i + 1]! });
			const pieces = piecesOf(
				parts.map((text, index) => ({ text, classes: String(index) })),
				matches
			);
			expect(pieces.map((piece) => piece.text).join('')).toBe(whole);
			for (const match of matches) {
				const marked = pieces.filter((piece) => piece.match === match).map((piece) => piece.text);
				expect(marked.join('')).toBe(whole.slice(match.from, match.to));
			}
		})
	);
});
