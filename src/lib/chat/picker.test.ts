import { describe, expect, it } from 'vitest';
import { choicesFor, type RoutingProfile } from './picker';
import type { Model } from './types';

const profile = (name: string): RoutingProfile => ({
	name,
	order: 'local_first',
	private_only: false,
	models: [],
	by_request: false
});
const model = (provider: string, id: string, rest: Partial<Model> = {}): Model => ({
	provider_id: provider,
	provider,
	id,
	embeddings: false,
	known_from: 'unknown',
	private: false,
	enabled: true,
	...rest
});

const profiles = [profile('auto'), profile('auto:private')];
const models = [
	model('anthropic', 'claude-sonnet-5'),
	model('spark', 'qwen3:8b', { private: true }),
	model('spark', 'zephyr', { private: true, loaded: true })
];
const values = (query: string) =>
	choicesFor(profiles, models, query).map(({ provider, choices }) => [
		provider ?? '',
		...choices.map(({ value }) => value)
	]);

describe('what may be asked', () => {
	it('has ways of choosing first, then one’s own devices, what is loaded first', () => {
		expect(values('')).toEqual([
			['', 'auto', 'auto:private'],
			['spark', 'spark/zephyr', 'spark/qwen3:8b'],
			['anthropic', 'anthropic/claude-sonnet-5']
		]);
	});

	it('is found by all words of a search, in the provider or the model', () => {
		expect(values('QWEN spark')).toEqual([['spark', 'spark/qwen3:8b']]);
		expect(values('private')).toEqual([['', 'auto:private']]);
		expect(values('qwen claude')).toEqual([]);
	});
});
