/** What a person enters of a model, as text, and how it is sent. Prices are in dollars for a million tokens. */
import type { Model, UpdateModel } from '$lib/api/types';

/** `unknown`: as the provider or the table says. */
export type Tri = 'unknown' | 'yes' | 'no';

export interface ModelDraft {
	context: string;
	output: string;
	tools: Tri;
	vision: Tri;
	input: string;
	answer: string;
	cached: string;
	enabled: boolean;
}

const MICROS = 1_000_000;
const text = (value: number | null | undefined) => (value == null ? '' : String(value));
const tri = (value: boolean | null | undefined): Tri => (value == null ? 'unknown' : value ? 'yes' : 'no');

export function draftOf(model: Model): ModelDraft {
	return {
		context: text(model.context_tokens),
		output: text(model.output_tokens),
		tools: tri(model.tools),
		vision: tri(model.vision),
		input: enteredFrom(model.price?.input_micros),
		answer: enteredFrom(model.price?.output_micros),
		cached: enteredFrom(model.price?.cached_micros),
		enabled: model.enabled
	};
}

/** A count of tokens: `128000`, `128k`, `1M`. */
export function tokensFrom(entered: string): number | undefined {
	const match = /^(\d+(?:[.,]\d+)?)\s*([km])?$/i.exec(entered.trim());
	if (!match) return undefined;
	const scale = { k: 1000, m: 1_000_000 }[match[2]?.toLowerCase() ?? ''] ?? 1;
	const value = Math.round(Number(match[1]!.replace(',', '.')) * scale);
	return value > 0 && value <= 0xffff_ffff ? value : undefined;
}

/** Micro-dollars as somebody would type them in dollars. */
export function enteredFrom(micros: number | null | undefined): string {
	return micros == null ? '' : String(micros / MICROS);
}

/** Dollars to micro-dollars: `3`, `0.25`, `0,25`. */
export function microsFrom(entered: string): number | undefined {
	if (!/^\d+(?:[.,]\d+)?$/.test(entered.trim())) return undefined;
	const value = Math.round(Number(entered.trim().replace(',', '.')) * MICROS);
	return Number.isSafeInteger(value) ? value : undefined;
}

export type ModelFault = 'context' | 'output' | 'input' | 'answer' | 'cached';

export function draftFaults(draft: ModelDraft): ModelFault[] {
	const faults: ModelFault[] = [];
	for (const name of ['context', 'output'] as const) {
		if (draft[name].trim() !== '' && tokensFrom(draft[name]) === undefined) faults.push(name);
	}
	for (const name of ['input', 'answer', 'cached'] as const) {
		if (draft[name].trim() !== '' && microsFrom(draft[name]) === undefined) faults.push(name);
	}
	// One half of a price is none.
	const priced = draft.input.trim() !== '' || draft.answer.trim() !== '' || draft.cached.trim() !== '';
	if (priced && draft.input.trim() === '') faults.push('input');
	if (priced && draft.answer.trim() === '') faults.push('answer');
	return faults;
}

/**
 * Only what was changed here or entered before is sent as entered: what the provider and the table say today must not be
 * frozen by looking at it, nor by correcting something else. A field that is emptied goes back to what they say.
 */
export function bodyOf(draft: ModelDraft, model: Model): UpdateModel {
	const before = draftOf(model);
	const changed = (...names: (keyof ModelDraft)[]) => names.some((name) => draft[name] !== before[name]);
	// An older server does not tell apart what was entered: all of it stays, for leaving it out would undo it.
	const kept = model.entered ?? (model.known_from === 'person' ? model : undefined);
	const known = (value: Tri) => (value === 'unknown' ? undefined : value === 'yes');
	const input = microsFrom(draft.input);
	const output = microsFrom(draft.answer);
	const price =
		input === undefined || output === undefined
			? undefined
			: { input_micros: input, output_micros: output, cached_micros: microsFrom(draft.cached) };
	return {
		context_tokens: changed('context') ? tokensFrom(draft.context) : kept?.context_tokens,
		output_tokens: changed('output') ? tokensFrom(draft.output) : kept?.output_tokens,
		tools: changed('tools') ? known(draft.tools) : kept?.tools,
		vision: changed('vision') ? known(draft.vision) : kept?.vision,
		price: changed('input', 'answer', 'cached') ? price : kept?.price,
		enabled: draft.enabled
	};
}
