import { expect, it } from 'vitest';
import { wordsOf } from './command';

it('reads a command in words', () => {
	expect(wordsOf('')).toEqual([]);
	expect(wordsOf('  htop  -d 5 ')).toEqual(['htop', '-d', '5']);
	expect(wordsOf(`vim "my file.txt" it\\'s 'a "b" \\c' ""`)).toEqual([
		'vim',
		'my file.txt',
		"it's",
		'a "b" \\c',
		''
	]);
	expect(wordsOf('a"b c"d')).toEqual(['ab cd']);
});

it('waits for the end of a quote', () => {
	expect(wordsOf('echo "unfinished')).toBeUndefined();
});
