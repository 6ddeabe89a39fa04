import { describe, expect, it } from 'vitest';
import type { FileEntry, GitStatus } from '$lib/api/types';
import { gitWords, orderFrom, sorted } from './order';

const entry = (name: string, size: number, modified_at: number, kind: FileEntry['kind'] = 'file') =>
	({ name, path: `/f/${name}`, kind, size, modified_at, mode: 0 }) as FileEntry;

describe('the order of a folder', () => {
	const all = [entry('a', 1, 30), entry('b', 3, 10), entry('c', 2, 20), entry('d', 0, 5, 'directory')];
	const names = (order: 'name' | 'newest' | 'largest') => sorted(all, order).map(({ name }) => name);

	it('is the device’s by name, and has folders first otherwise', () => {
		expect(sorted(all, 'name')).toBe(all);
		expect(names('newest')).toEqual(['d', 'a', 'c', 'b']);
		expect(names('largest')).toEqual(['d', 'b', 'c', 'a']);
	});

	it('is read from the address', () => {
		expect([orderFrom('largest'), orderFrom('size'), orderFrom(null)]).toEqual(['largest', 'name', 'name']);
	});
});

it('says what git says of entries, and of folders that something in them changed', () => {
	const status = {
		root: '/r',
		entries: [
			{ path: '/r/a.py', unstaged: 'modified' },
			{ path: '/r/new.py', unstaged: 'untracked' },
			{ path: '/r/src/lib.rs', staged: 'added' },
			{ path: '/r/build/', unstaged: 'untracked' },
			{ path: '/other/x', staged: 'added' },
			{ path: '/r/odd', staged: 'something new' }
		]
	} as GitStatus;
	expect(Object.fromEntries(gitWords('/r', status))).toEqual({
		'a.py': 'modified',
		'new.py': 'untracked',
		src: 'modified',
		build: 'untracked'
	});
	expect(Object.fromEntries(gitWords('/r/src', status))).toEqual({ 'lib.rs': 'added' });
	expect(gitWords('/r', undefined).size).toBe(0);
});
