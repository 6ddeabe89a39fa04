import { describe, expect, it } from 'vitest';
import type { Model } from '$lib/api/types';
import { bodyOf, draftFaults, draftOf, microsFrom, tokensFrom } from './draft';
import { filterFrom, fitting, searchOf } from './filter';
import { sourceWord } from './words';

const model = (id: string, change: Partial<Model> = {}): Model => ({
	provider_id: 'p',
	provider: 'openai',
	id,
	embeddings: false,
	known_from: 'table',
	private: false,
	enabled: true,
	...change
});

describe('the catalogue', () => {
	const all = [
		model('gpt-5', { tools: true, vision: true, context_tokens: 400_000 }),
		model('text-embedding-3', { embeddings: true }),
		model('llama3.2', { provider: 'bench', private: true, tools: true, context_tokens: 128_000 }),
		model('mystery')
	];
	const ids = (search: string) => fitting(all, filterFrom(new URLSearchParams(search))).map(({ id }) => id);

	it('shows own devices first, then by provider and name', () => {
		expect(ids('')).toEqual(['llama3.2', 'gpt-5', 'mystery', 'text-embedding-3']);
	});

	it('finds by every word of the whole name', () => {
		expect(ids('q=open+gpt')).toEqual(['gpt-5']);
		expect(ids('q=bench/LLAMA')).toEqual(['llama3.2']);
	});

	it('counts what is not known as not fitting', () => {
		expect(ids('can=tools')).toEqual(['llama3.2', 'gpt-5']);
		expect(ids('can=tools,vision')).toEqual(['gpt-5']);
		expect(ids('context=200000')).toEqual(['gpt-5']);
		expect(ids('can=private')).toEqual(['llama3.2']);
	});

	it('is an address that survives a reload, and nonsense in it is ignored', () => {
		const filter = filterFrom(new URLSearchParams('q=a&provider=b&can=tools,flying&context=-3'));
		expect(filter).toEqual({ text: 'a', provider: 'b', can: ['tools'], context: undefined });
		expect(filterFrom(new URLSearchParams(searchOf(filter)))).toEqual(filter);
	});
});

describe('what a person enters of a model', () => {
	it('is read as people write it', () => {
		expect(tokensFrom('128k')).toBe(128_000);
		expect(tokensFrom('1,5 M')).toBe(1_500_000);
		expect(tokensFrom('lots')).toBeUndefined();
		expect(tokensFrom('0')).toBeUndefined();
		expect(microsFrom('0,25')).toBe(250_000);
		expect(microsFrom('3')).toBe(3_000_000);
		expect(microsFrom('-1')).toBeUndefined();
	});

	const known = model('m', {
		context_tokens: 128_000,
		tools: true,
		price: { input_micros: 3_000_000, output_micros: 15_000_000 }
	});

	it('leaves what was not touched to the provider and the table', () => {
		expect(bodyOf(draftOf(known), known)).toEqual({ enabled: true });
		expect(bodyOf({ ...draftOf(known), context: '200k' }, known)).toEqual({
			context_tokens: 200_000,
			enabled: true
		});
	});

	it('keeps what was entered before, and goes back where a field is emptied', () => {
		const entered = {
			...known,
			known_from: 'person' as const,
			entered: { context_tokens: 128_000, price: known.price, enabled: true }
		};
		expect(bodyOf({ ...draftOf(entered), context: '' }, entered)).toEqual({
			price: { input_micros: 3_000_000, output_micros: 15_000_000 },
			enabled: true
		});
	});

	it('does not become what the table says when something else is corrected for a second time', () => {
		const entered = {
			...known,
			known_from: 'person' as const,
			entered: { context_tokens: 128_000, enabled: true }
		};
		// Neither the price nor that it uses tools was entered.
		expect(bodyOf({ ...draftOf(entered), output: '8k' }, entered)).toEqual({
			context_tokens: 128_000,
			output_tokens: 8_000,
			enabled: true
		});
		expect(bodyOf({ ...draftOf(entered), enabled: false }, entered)).toEqual({
			context_tokens: 128_000,
			enabled: false
		});
	});

	it('is all kept with a server that does not say what was entered', () => {
		const entered = { ...known, known_from: 'person' as const };
		expect(bodyOf({ ...draftOf(entered), context: '200k' }, entered)).toEqual({
			context_tokens: 200_000,
			tools: true,
			price: { input_micros: 3_000_000, output_micros: 15_000_000 },
			enabled: true
		});
	});

	it('is no price by one half', () => {
		expect(draftFaults({ ...draftOf(model('m')), input: '3' })).toEqual(['answer']);
		expect(draftFaults({ ...draftOf(model('m')), input: 'x', answer: '3' })).toEqual(['input']);
	});
});

describe('where it is known from', () => {
	it('is said with the day of the table wherever something is the table’s', () => {
		const known_at = '2026-11-01';
		expect(sourceWord(model('m', { known_at }))).toContain('1 Nov 2026');
		const corrected = sourceWord(model('m', { known_from: 'person', known_at }));
		expect(corrected).toContain('1 Nov 2026');
		expect(sourceWord(model('m', { known_from: 'person' }))).not.toBe(corrected);
		expect(sourceWord(model('m', { known_from: 'provider' }))).not.toContain('2026');
	});
});
