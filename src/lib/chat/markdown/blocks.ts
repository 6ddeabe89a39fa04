// Markdown as blocks that grow. What a model writes only ever gets longer, so all blocks but the last are done: they
// keep their identity and are neither parsed nor drawn again.

import { Marked, type Token } from 'marked';
import { formula, formulaBlock } from './math';

const marked = new Marked({ gfm: true, breaks: false });
marked.use({ extensions: [formula, formulaBlock] });

/** Also the one before the last is looked at again: a list goes on after an empty line. */
const OPEN = 2;

export class Blocks {
	#text = '';
	#tokens: Token[] = [];
	/** Where in the text the blocks that are still open begin. */
	#open = 0;
	#done = 0;
	/** Characters that were parsed, for tests. */
	parsed = 0;

	/** The blocks of a text; cheap when it begins with the one before. */
	of(text: string): readonly Token[] {
		if (text === this.#text) return this.#tokens;
		if (!text.startsWith(this.#text)) {
			this.#open = 0;
			this.#done = 0;
		}
		this.#text = text;
		const rest = text.slice(this.#open);
		this.parsed += rest.length;
		const fresh = lex(rest);
		this.#tokens = [...this.#tokens.slice(0, this.#done), ...fresh];
		this.#settle(rest, fresh);
		return this.#tokens;
	}

	#settle(rest: string, fresh: readonly Token[]): void {
		const solid = fresh.map((token, index) => (token.type === 'space' ? -1 : index)).filter((at) => at >= 0);
		let upTo = solid.at(-OPEN) ?? 0;
		// Without an empty line between them, what comes may still make one of two: underlined, lines are a heading.
		while (upTo > 0 && !/\n[ \t]*\n$/.test(endOf(fresh, upTo))) upTo -= 1;
		let length = 0;
		for (const token of fresh.slice(0, upTo)) length += token.raw.length;
		// The lexer may have changed tabs and line ends: then lengths mean nothing, and all stays open.
		const raw = fresh.slice(0, upTo).map((token) => token.raw);
		if (upTo === 0 || rest.slice(0, length) !== raw.join('')) return;
		this.#done += upTo;
		this.#open += length;
	}
}

/** The end of what comes before this block. */
function endOf(tokens: readonly Token[], before: number): string {
	return tokens
		.slice(Math.max(0, before - 2), before)
		.map((token) => token.raw)
		.join('');
}

function lex(text: string): Token[] {
	try {
		return marked.lexer(text);
	} catch {
		// Nested deeper than the parser goes: it is still text.
		return [{ type: 'paragraph', raw: text, text, tokens: [{ type: 'text', raw: text, text }] }];
	}
}
