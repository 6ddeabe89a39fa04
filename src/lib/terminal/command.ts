// A command as somebody writes it on one line, in the words a program gets. Quotes group, a backslash takes the next
// character as it is; nothing else is special, because no shell runs it. Pure.

/** `undefined` while a quote is open. */
export function wordsOf(line: string): string[] | undefined {
	const words: string[] = [];
	let word: string | undefined;
	let quote = '';
	for (let at = 0; at < line.length; at += 1) {
		const character = line[at]!;
		if (character === '\\' && quote !== "'" && at + 1 < line.length) {
			word = (word ?? '') + line[(at += 1)]!;
		} else if (quote !== '') {
			if (character === quote) quote = '';
			else word = (word ?? '') + character;
		} else if (character === '"' || character === "'") {
			quote = character;
			word ??= '';
		} else if (/\s/.test(character)) {
			if (word !== undefined) words.push(word);
			word = undefined;
		} else word = (word ?? '') + character;
	}
	if (quote !== '') return undefined;
	if (word !== undefined) words.push(word);
	return words;
}
