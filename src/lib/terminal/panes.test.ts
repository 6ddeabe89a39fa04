import { describe, expect, it } from 'vitest';
import { beside, hrefOf, instead, panesFrom, without } from './panes';

describe('terminals side by side', () => {
	it('are read from the address, each once and not too many', () => {
		const query = (text: string) => new URLSearchParams(text);
		expect(panesFrom(undefined, query('with=b'))).toEqual([]);
		expect(panesFrom('a', query(''))).toEqual(['a']);
		expect(panesFrom('a', query('with=b,a,,c'))).toEqual(['a', 'b', 'c']);
		expect(panesFrom('a', query('with=b,c,d,e,f'))).toHaveLength(4);
	});

	it('are written into it and read back', () => {
		expect(hrefOf('d', [])).toBe('/devices/d/terminal');
		expect(hrefOf('d', ['a'])).toBe('/devices/d/terminal/a');
		const url = new URL(hrefOf('d', ['a', 'b', 'c']), 'http://x');
		expect(panesFrom('a', url.searchParams)).toEqual(['a', 'b', 'c']);
	});

	it('come, go and take each other’s place', () => {
		expect(beside(['a'], 'b')).toEqual(['a', 'b']);
		expect(beside(['a', 'b'], 'a')).toEqual(['a', 'b']);
		expect(beside(['a', 'b', 'c', 'd'], 'e')).toEqual(['a', 'b', 'c', 'e']);
		expect(without(['a', 'b'], 'a')).toEqual(['b']);
		expect(instead(['a', 'b'], 1, 'c')).toEqual(['a', 'c']);
		expect(instead([], 0, 'c')).toEqual(['c']);
		expect(instead(['a', 'b'], 0, 'b')).toEqual(['a', 'b']);
	});
});
