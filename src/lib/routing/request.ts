/** What is said of a request that is only tried: how long it is and what it needs. */
import type { ExplainRoute } from '$lib/api/types';

export const TRAITS = ['code', 'research', 'tools', 'vision'] as const;
export type Trait = (typeof TRAITS)[number];

/** About as many characters make one token of English or German. */
const CHARACTERS_A_TOKEN = 4;

export function asksOf(text: string, model: string, ticked: readonly Trait[]): ExplainRoute {
	const has = (trait: Trait) => ticked.includes(trait);
	return {
		model,
		input_tokens: Math.ceil([...text].length / CHARACTERS_A_TOKEN),
		code: has('code') || text.includes('```'),
		research: has('research'),
		tools: has('tools'),
		vision: has('vision'),
		embeddings: false
	};
}
