// Colours for source code, in a chunk of its own with only the languages that are asked for. Colours are the design
// tokens, so both themes are right without doing it twice.

import { createCssVariablesTheme, createHighlighterCore, type GrammarState } from '@shikijs/core';
import { createJavaScriptRegexEngine } from '@shikijs/engine-javascript';
import { LANGUAGES, type Language } from './languages';

export interface Token {
	text: string;
	/** A CSS colour; nothing for plain text. */
	colour?: string;
	italic?: boolean;
}

const theme = createCssVariablesTheme({ name: 'foreman', variablePrefix: '--code-', fontStyle: true });
const PLAIN = 'var(--code-foreground)';
/** Lines at a time, so that the page stays quick. */
const STEP = 150;
/** For all lines together; what is not done by then stays plain. */
const MOST_MS = 10_000;

let highlighter: ReturnType<typeof createHighlighterCore> | undefined;

/**
 * Colours lines from the first on and hands them over as they are done. The engine may fail on a rare grammar; the
 * text is there without colours.
 */
export async function highlight(
	lines: readonly string[],
	language: Language,
	done: (from: number, tokens: Token[][]) => void,
	signal: AbortSignal
): Promise<void> {
	highlighter ??= createHighlighterCore({
		themes: [theme],
		langs: [],
		engine: createJavaScriptRegexEngine({ forgiving: true })
	});
	const shiki = await highlighter;
	await shiki.loadLanguage(LANGUAGES[language]());
	let grammarState: GrammarState | undefined;
	const until = performance.now() + MOST_MS;
	const goesOn = () => !signal.aborted && performance.now() < until;
	for (let from = 0; from < lines.length && goesOn(); from += STEP) {
		const text = lines.slice(from, from + STEP).join('\n');
		const tokens = shiki.codeToTokensBase(text, {
			lang: language,
			theme: 'foreman',
			grammarState,
			tokenizeMaxLineLength: 2_000,
			tokenizeTimeLimit: 200
		});
		grammarState = shiki.getLastGrammarState(tokens);
		done(
			from,
			tokens.map((line) =>
				line.map(({ content, color, fontStyle }) => ({
					text: content,
					colour: color === PLAIN ? undefined : color,
					italic: ((fontStyle ?? 0) & 1) === 1 || undefined
				}))
			)
		);
		await new Promise((next) => setTimeout(next));
	}
}
