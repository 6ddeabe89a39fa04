import { describe, expect, it } from 'vitest';
import type { ModelKey } from '$lib/api/types';
import { bodyOf, inOrder, isModelName, keyFaults, stateOf, type KeyDraft } from './draft';
import { baseOf, snippet } from './snippets';

const draft = (change: Partial<KeyDraft> = {}): KeyDraft => ({
	name: 'laptop',
	models: [],
	cap: '',
	period: 'month',
	project: '',
	days: '',
	...change
});

describe('a new key', () => {
	it('has a name, and a cap that is an amount', () => {
		expect(keyFaults(draft())).toEqual([]);
		expect(keyFaults(draft({ name: ' ', cap: 'much' }))).toEqual(['name', 'cap']);
	});

	it('is sent with a period only where there is a cap', () => {
		expect(bodyOf(draft({ days: '7' }))).toMatchObject({ cap_period: undefined, expires_in_s: 604_800 });
		expect(bodyOf(draft({ cap: '0,50', period: 'day' }))).toMatchObject({
			cap_micros: 500_000,
			cap_period: 'day'
		});
	});

	it('is limited to names that the server reads', () => {
		for (const name of ['auto', 'auto:code', 'openai/*', 'bench/hf.co/org/model:Q4']) {
			expect(isModelName(name), name).toBe(true);
		}
		for (const name of ['gpt-5', 'auto:', 'Open AI/x', '']) expect(isModelName(name), name).toBe(false);
	});
});

describe('a key', () => {
	const key = (change: Partial<ModelKey>): ModelKey => ({
		id: 'k',
		name: 'k',
		last_four: 'abcd',
		models: [],
		cap_period: 'day',
		spent_micros: 0,
		created_at: 0,
		created_by: { user: 'u' },
		...change
	});

	it('is valid until it is revoked, over or spent', () => {
		expect(stateOf(key({}), 10)).toBe('ok');
		expect(stateOf(key({ cap_micros: 5, spent_micros: 5 }), 10)).toBe('spent');
		expect(stateOf(key({ expires_at: 10 }), 10)).toBe('expired');
		expect(stateOf(key({ expires_at: 5, revoked_at: 3 }), 10)).toBe('revoked');
	});

	it('stands after those that still work once it does not', () => {
		const keys = [
			key({ id: 'old', created_at: 1 }),
			key({ id: 'gone', created_at: 3, revoked_at: 4 }),
			key({ id: 'new', created_at: 2 })
		];
		expect(inOrder(keys, 10).map(({ id }) => id)).toEqual(['new', 'old', 'gone']);
	});
});

describe('lines to paste', () => {
	it('have the address each client wants', () => {
		expect(snippet('openai', 'https://f.example', 'fm-1')).toBe(
			'export OPENAI_BASE_URL=https://f.example/v1\nexport OPENAI_API_KEY=fm-1'
		);
		expect(snippet('anthropic', 'https://f.example', 'fm-1')).toContain(
			'ANTHROPIC_BASE_URL=https://f.example\n'
		);
		expect(snippet('curl', 'https://f.example', 'fm-1')).toContain('https://f.example/v1/chat/completions');
	});

	it('lead to the server: where a browser is, and where the app’s window is not', () => {
		const server = 'https://f.example';
		expect(baseOf({ origin: 'http://192.168.1.5:3001', inApp: false }, server)).toBe(
			'http://192.168.1.5:3001'
		);
		expect(baseOf({ origin: 'tauri://localhost', inApp: true }, server)).toBe(server);
	});
});
