import { describe, expect, it } from 'vitest';
import type { Route, Routing, RoutingProfile } from '$lib/api/types';
import { moved, profileFaults, withoutProfile, withProfile } from './profiles';
import { asksOf } from './request';
import { missSentence, profileSentence, routeSentence } from './sentence';

const profile = (change: Partial<RoutingProfile> = {}): RoutingProfile => ({
	name: 'auto',
	order: 'local_first',
	private_only: false,
	models: [],
	by_request: false,
	...change
});

describe('a way to choose, as a sentence', () => {
	it('says the order, and then what limits it', () => {
		expect(profileSentence(profile())).toBe(
			'Your own devices first, then the default provider, then by price.'
		);
		expect(
			profileSentence(
				profile({ order: 'cheapest', private_only: true, min_context: 128_000, use_for: 'code' })
			)
		).toBe(
			'By the price of the request; your own devices cost nothing. Nothing leaves your devices. ' +
				'Only providers that are used for code. At least 128k of context.'
		);
	});

	it('says that the list goes first, or is all there is', () => {
		expect(profileSentence(profile({ models: ['a/b'] }))).toMatch(/^What is listed first\. Your own/);
		expect(profileSentence(profile({ models: ['a/b'], order: 'as_listed' }))).toBe(
			'Only what is listed, in this order.'
		);
	});
});

describe('a choice, as a sentence', () => {
	const route: Route = {
		provider_id: 'p',
		provider: 'home-server',
		model: 'llama3.2',
		device: 'home-server',
		because: ['private', 'loaded'],
		instead_of: []
	};

	it('names the model, where it is and why', () => {
		expect(routeSentence(route)).toBe('llama3.2 on home-server: private, in memory');
		expect(routeSentence({ ...route, device: undefined, provider: 'openai', because: [] })).toBe(
			'llama3.2 from openai'
		);
	});

	it('says what a model that was passed over answered', () => {
		expect(missSentence({ provider: 'a', model: 'b', cause: 'failed', status: 503 })).toBe(
			'a/b: answered with an error (503)'
		);
		const late = { provider: 'a', model: 'b', cause: 'timeout' } as const;
		expect(missSentence(late)).toBe('a/b: did not answer in time');
		expect(missSentence({ ...late, waited_for: 'connection' })).toBe(
			'a/b: could not be connected to in time'
		);
		expect(missSentence({ ...late, waited_for: 'first_token' })).toBe('a/b: did not begin to answer in time');
	});
});

describe('changing the order', () => {
	it('moves by one place and not beyond the ends', () => {
		const list = ['a', 'b', 'c'];
		expect(moved(list, 1, -1)).toEqual(['b', 'a', 'c']);
		expect(moved(list, 1, 1)).toEqual(['a', 'c', 'b']);
		expect(moved(list, 0, -1)).toBe(list);
		expect(moved(list, 2, 1)).toBe(list);
	});
});

describe('changing the routing', () => {
	const routing: Routing = { profiles: [profile(), profile({ name: 'auto:mine' })], caps: {}, revision: 3 };

	it('replaces one in its place, adds at the end, and keeps the revision it was made from', () => {
		const renamed = withProfile(routing, 'auto:mine', profile({ name: 'auto:ours' }));
		expect(renamed.profiles.map(({ name }) => name)).toEqual(['auto', 'auto:ours']);
		const added = withProfile(routing, undefined, profile({ name: 'auto:new' }));
		expect(added.profiles.map(({ name }) => name)).toEqual(['auto', 'auto:mine', 'auto:new']);
		expect(withoutProfile(added, 'auto:mine').profiles.map(({ name }) => name)).toEqual(['auto', 'auto:new']);
		expect(added.revision).toBe(3);
	});

	it('finds what the server would refuse', () => {
		const draft = { name: 'mine', context: '', profile: profile() };
		expect(profileFaults(draft, undefined, ['auto'], false)).toEqual([]);
		expect(profileFaults(draft, undefined, ['auto:mine'], false)).toEqual(['taken']);
		expect(profileFaults({ ...draft, name: 'My Way' }, undefined, [], false)).toEqual(['name']);
		expect(profileFaults({ ...draft, context: 'much' }, undefined, [], true)).toEqual(['context']);
		const listed = { ...draft, profile: profile({ order: 'as_listed' }) };
		expect(profileFaults(listed, undefined, [], true)).toEqual(['models']);
	});
});

describe('a request that is only tried', () => {
	it('is about code when it has some between fences', () => {
		expect(asksOf('```rust\nfn main() {}\n```', 'auto', [])).toMatchObject({ code: true, input_tokens: 6 });
		expect(asksOf('Hello', 'auto', ['vision'])).toMatchObject({ code: false, vision: true });
	});
});
