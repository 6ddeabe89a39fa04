import { describe, expect, it } from 'vitest';
import { destination, may, signInPath } from './index';

describe('destination', () => {
	it('keeps to pages of this dashboard', () => {
		expect(destination('/devices?q=spark')).toBe('/devices?q=spark');
		expect(destination(null)).toBe('/');
		for (const elsewhere of [
			'https://evil.example',
			'//evil.example',
			'/\\evil.example',
			'javascript:alert(1)',
			''
		]) {
			expect(destination(elsewhere), elsewhere).toBe('/');
		}
	});

	it('never leads back to signing in', () => {
		expect(destination('/sign-in?next=%2Fdevices')).toBe('/');
		expect(destination('/setup')).toBe('/');
	});

	it('is the way back from the sign-in path', () => {
		const from = new URL('http://foreman.test/devices?q=a b');
		const next = new URL(signInPath(from), from).searchParams.get('next');
		expect(destination(next)).toBe('/devices?q=a%20b');
	});
});

describe('may', () => {
	const me = (role: 'viewer' | 'operator' | 'admin' | 'owner') => ({
		name: 'a',
		role,
		tenant: 't',
		has_password: true
	});

	it('includes the roles below', () => {
		expect(may(me('owner'), 'viewer')).toBe(true);
		expect(may(me('operator'), 'operator')).toBe(true);
		expect(may(me('operator'), 'admin')).toBe(false);
		expect(may(undefined, 'viewer')).toBe(false);
	});
});
