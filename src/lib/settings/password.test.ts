import { expect, it } from 'vitest';
import { passwordFaults } from './password';

const entered = (fresh: string, repeated = fresh, current = '') => ({ current, fresh, repeated });

it('asks for the current password only when there is one', () => {
	expect(passwordFaults(entered('long enough'), false)).toEqual([]);
	expect(passwordFaults(entered('long enough'), true)).toEqual(['current']);
	expect(passwordFaults(entered('long enough', 'long enough', 'old'), true)).toEqual([]);
});

it('keeps to 10 to 256 characters as the server does', () => {
	expect(passwordFaults(entered('123456789'), false)).toEqual(['short']);
	expect(passwordFaults(entered('🚀'.repeat(9)), false)).toEqual(['short']);
	expect(passwordFaults(entered('🚀'.repeat(256)), false)).toEqual([]);
	expect(passwordFaults(entered('x'.repeat(257)), false)).toEqual(['long']);
});

it('compares the two', () => {
	expect(passwordFaults(entered('long enough', 'long enouhg'), false)).toEqual(['differs']);
});
