import { describe, expect, it } from 'vitest';
import { badName, below, crumbs, fileHref, joined, nameOf, parentOf } from './paths';

describe('paths of a device', () => {
	it('have a name and a folder', () => {
		expect([nameOf('/home/mia/a.txt'), nameOf('/'), nameOf('/a')]).toEqual(['a.txt', '/', 'a']);
		expect([parentOf('/home/mia'), parentOf('/home'), parentOf('/')]).toEqual(['/home', '/', '/']);
		expect([joined('/', 'a'), joined('/a', 'b')]).toEqual(['/a', '/a/b']);
		expect([below('/a', '/a/b/c'), below('/', '/a'), below('/x', '/a')]).toEqual(['b/c', 'a', '/a']);
	});

	it('are walked from the nearest root', () => {
		const names = (path: string, roots: string[]) => crumbs(path, roots).map(({ name }) => name);
		expect(names('/home/mia/src/app', ['/home/mia', '/data'])).toEqual(['/home/mia', 'src', 'app']);
		expect(names('/home/mia', ['/home/mia'])).toEqual(['/home/mia']);
		expect(names('/data/x', ['/', '/data'])).toEqual(['/data', 'x']);
		expect(names('/home/miau', ['/home/mia'])).toEqual(['/', 'home', 'miau']);
		expect(crumbs('/a/b', ['/']).at(-1)).toEqual({ name: 'b', path: '/a/b' });
	});

	it('take no name that is none', () => {
		expect(['a', ' ', 'a/b', '..', '.'].map(badName)).toEqual([undefined, 'empty', 'slash', 'dots', 'dots']);
	});

	it('survive the address', () => {
		const url = new URL(fileHref('d', '/a b/ü&#?.txt', 7), 'http://x');
		expect([url.searchParams.get('path'), url.searchParams.get('line')]).toEqual(['/a b/ü&#?.txt', '7']);
	});
});
