import { describe, expect, it } from 'vitest';
import { m } from '$lib/i18n';
import { idFrom, placeOf, stateOf } from './words';

describe('how a sign-in stands', () => {
	it('tells apart what nobody set up, what is signed out, in, and over', () => {
		const words = [
			stateOf({ state: 'signed_out', configured: false }),
			stateOf({ state: 'signed_out', configured: true }),
			stateOf({ state: 'signed_in', configured: true }),
			stateOf({ state: 'ended', configured: true })
		];
		expect(new Set(words).size).toBe(4);
	});

	it('says where the token is, and who renews it', () => {
		expect(placeOf({ in_vault_of: null, renews: true })).toBe(m.signin_place_device());
		expect(placeOf({ in_vault_of: 'home', renews: false })).toContain('home');
		expect(placeOf({ in_vault_of: 'home', renews: true })).not.toBe(
			placeOf({ in_vault_of: 'home', renews: false })
		);
	});
});

describe('the name of an own provider', () => {
	it('is plain, and nobody else’s', () => {
		expect(idFrom('Unser Gäteway (Büro)', [])).toBe('unser-ga-teway-bu-ro');
		expect(idFrom('***', ['provider'])).toBe('provider-2');
		expect(idFrom('Claude', ['claude', 'claude-2'])).toBe('claude-3');
		expect(idFrom('x'.repeat(100), []).length).toBeLessThanOrEqual(40);
	});
});
