import { describe, expect, it } from 'vitest';
import type { RoutingNow } from '$lib/api/types';
import { asksAfter, awayWords, modelWords, nowWords } from './now';
import type { Message, Model, Route } from './types';

const route: Route = {
	provider_id: 'p1',
	provider: 'home-server-ollama',
	model: 'llama3.2',
	device: 'home-server',
	because: ['private', 'loaded'],
	instead_of: []
};
const cloud: Route = {
	provider_id: 'p2',
	provider: 'cloud',
	model: 'large',
	because: ['fallback'],
	instead_of: [{ provider: 'home-server-ollama', model: 'llama3.2', cause: 'unreachable' }]
};
const now: RoutingNow = {
	profiles: [
		{ profile: 'auto', route: cloud },
		{ profile: 'auto:private' },
		{ profile: 'auto:cheapest', route },
		{ profile: 'auto:long', route: { ...route, because: [] } }
	],
	away: [{ provider_id: 'p1', provider: 'home-server-ollama', cause: 'unreachable' }]
};
const model = (rest: Partial<Model>): Model => ({
	provider_id: 'p2',
	provider: 'cloud',
	id: 'large',
	embeddings: false,
	known_from: 'table',
	private: false,
	enabled: true,
	...rest
});

describe('what would be taken now', () => {
	it('is the model and why', () => {
		expect(nowWords('auto:cheapest', now)).toBe('now: llama3.2 on home-server: private, loaded');
		expect(nowWords('auto:long', now)).toBe('now: llama3.2 on home-server');
	});

	it('is said with whom it stands in for', () => {
		expect(nowWords('auto', now)).toBe(
			'now: large at cloud: fallback, instead of llama3.2 at home-server-ollama: not reachable'
		);
	});

	it('is nothing that could answer, or not known', () => {
		expect(nowWords('auto:private', now)).toBe('now: no model can answer');
		expect(nowWords('auto:other', now)).toBe('');
		expect(nowWords('auto', undefined)).toBe('');
	});
});

describe('a single model', () => {
	it('says why it would not answer, where it would not', () => {
		expect(awayWords(model({ provider_id: 'p1' }), now)).toBe('not reachable');
		expect(awayWords(model({}), now)).toBe('');
		expect(awayWords(model({ provider_id: 'p1' }), undefined)).toBe('');
	});

	it('says where it runs, what it costs and how much it takes', () => {
		const price = { input_micros: 3_000_000, output_micros: 15_000_000 };
		expect(modelWords(model({ price, context_tokens: 200_000 }))).toBe(
			'$3.00 in, $15.00 out a million · 200k tokens of context'
		);
		expect(modelWords(model({}))).toBe('price unknown');
		expect(modelWords(model({ private: true, loaded: true }))).toBe('private, on your device · loaded');
	});
});

describe('what is known of a question', () => {
	const message = (rest: Partial<Message>): Message => ({
		id: 'm',
		chat_id: 'c',
		role: 'user',
		text: '',
		state: 'done',
		attachments: [],
		created_at: 0,
		...rest
	});
	const usage = { input_tokens: 30_000, output_tokens: 1_500, cached_tokens: 0 };
	const asked = message({ text: 'x'.repeat(400) });
	const answered = message({ role: 'assistant', text: 'long', usage } as Partial<Message>);

	it('is as long as the last answer counted, and what came after it', () => {
		expect(asksAfter([], 'x'.repeat(40)).input_tokens).toBe(10);
		expect(asksAfter([asked], '').input_tokens).toBe(100);
		expect(asksAfter([asked, answered], '').input_tokens).toBe(31_500);
		expect(asksAfter([asked, answered, asked], 'x'.repeat(40)).input_tokens).toBe(31_610);
	});

	it('is about code or has pictures wherever something before it has', () => {
		const picture = { id: 'f', name: 'dot.png', media_type: 'image/png', size: 1 };
		expect(asksAfter([], 'plain')).toMatchObject({ code: false, vision: false });
		expect(asksAfter([message({ text: '```rust' })], '').code).toBe(true);
		expect(asksAfter([], '```').code).toBe(true);
		expect(asksAfter([message({ attachments: [picture] })], '').vision).toBe(true);
		expect(asksAfter([], '', [picture]).vision).toBe(true);
	});
});
