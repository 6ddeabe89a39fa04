import { expect, it } from 'vitest';
import { cut, findIn } from './find-in';

it('finds words, and minds the case only when asked in capitals', () => {
	const lines = ['Loss and loss', '', 'LOSS'];
	expect(findIn(lines, 'loss')).toHaveLength(3);
	expect(findIn(lines, 'LOSS')).toEqual([{ line: 2, from: 0, to: 4 }]);
	expect(findIn(lines, '')).toEqual([]);
	expect(findIn(['aaaa'], 'aa')).toHaveLength(2);
});

it('cuts coloured words at matches', () => {
	const found = { line: 0, from: 2, to: 5 };
	expect(cut([{ text: 'abc', colour: 'x' }, { text: 'def' }], [found])).toEqual([
		{ text: 'ab', colour: 'x', found: undefined },
		{ text: 'c', colour: 'x', found },
		{ text: 'de', found },
		{ text: 'f', found: undefined }
	]);
});
