// Formulas in Markdown: `$x$` and `\(x\)` in a line, `$$x$$` and `\[x\]` for themselves. Prices are no formulas: a
// single dollar sign opens one only before something that is not a space, and closes one not before a digit.

import type { TokenizerAndRendererExtension, Tokens } from 'marked';

export interface FormulaToken extends Tokens.Generic {
	type: 'formula' | 'formulaBlock';
	raw: string;
	/** TeX. */
	text: string;
}

/** Longer than any formula; what goes on is text. */
const MOST = 4_000;

const INLINE = [
	/^\$\$(?!\$)((?:\\[\s\S]|[^\\$])+?)\$\$/,
	/^\$(?![\s$])((?:\\[^\n]|[^\\$\n])*?(?:\\[^\n]|[^\\$\s]))\$(?!\d)/,
	/^\\\(([\s\S]+?)\\\)/,
	/^\\\[([\s\S]+?)\\\]/
];
const BLOCK = [
	/^ {0,3}\$\$[ \t]*\n?((?:\\[\s\S]|[^\\$])+?)\n?[ \t]*\$\$[ \t]*(?:\n+|$)/,
	/^ {0,3}\\\[[ \t]*\n?([\s\S]+?)\n?[ \t]*\\\][ \t]*(?:\n+|$)/
];

function found(source: string, patterns: readonly RegExp[], type: FormulaToken['type']) {
	for (const pattern of patterns) {
		const match = pattern.exec(source.slice(0, MOST));
		if (match?.[1]?.trim()) return { type, raw: match[0], text: match[1].trim() } satisfies FormulaToken;
	}
	return undefined;
}

export const formula: TokenizerAndRendererExtension = {
	name: 'formula',
	level: 'inline',
	start: (source) => {
		const at = source.search(/\$|\\[([]/);
		return at < 0 ? undefined : at;
	},
	tokenizer: (source) => found(source, INLINE, 'formula')
};

export const formulaBlock: TokenizerAndRendererExtension = {
	name: 'formulaBlock',
	level: 'block',
	start: (source) => {
		const at = source.search(/(?:^|\n) {0,3}(?:\$\$|\\\[)/);
		return at < 0 ? undefined : at;
	},
	tokenizer: (source) => found(source, BLOCK, 'formulaBlock')
};
