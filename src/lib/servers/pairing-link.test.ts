import { expect, it } from 'vitest';
import { pairingLink } from './pairing-link';

it('is what the app reads, with the certificate where that is known', () => {
	expect(pairingLink('https://f.example/under')).toBe(
		'foreman://pair?server=https%3A%2F%2Ff.example%2Funder'
	);
	const digits = 'ab'.repeat(32);
	const link = new URL(pairingLink('http://192.168.1.5:3001', digits));
	expect([...link.searchParams]).toEqual([
		['server', 'http://192.168.1.5:3001'],
		['fingerprint', digits]
	]);
});
