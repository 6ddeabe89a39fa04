import { describe, expect, it } from 'vitest';
import { m } from '$lib/i18n';
import { fileName, read } from './file';
import { unattendedWord, stateOf } from './words';

describe('the state of the vault', () => {
	const locked = { initialised: true, unlocked: false, unattended: false, locks_after_s: 0 };

	it('is blocked only as long as it lasts', () => {
		expect(stateOf({ ...locked, blocked_until: 2000 }, 1000)).toBe('blocked');
		expect(stateOf({ ...locked, blocked_until: 2000 }, 2000)).toBe('locked');
		expect(stateOf({ ...locked, unlocked: true, blocked_until: 2000 }, 1000)).toBe('open');
		expect(stateOf({ ...locked, initialised: false }, 0)).toBe('missing');
	});

	it('says what opens it by itself', () => {
		expect(unattendedWord(locked)).toBeUndefined();
		const unattended = { ...locked, unattended: true };
		expect(unattendedWord({ ...unattended, unattended_by: 'key_file' })).toBe(m.vault_unattended());
		// From a server that knows nothing else.
		expect(unattendedWord(unattended)).toBe(m.vault_unattended());
		expect(unattendedWord({ ...unattended, unattended_by: 'keychain' })).toBe(m.vault_unattended_keychain());
	});
});

describe('an exported file', () => {
	it('is called by its day', () => {
		expect(fileName(Date.UTC(2026, 10, 21, 23))).toBe('foreman-vault-2026-11-21.json');
	});

	it('is known by its format, and anything else is refused before it is sent', async () => {
		const file = { format: 'foreman-vault', version: 1, sealed: 'AAAA' };
		expect(await read(new Blob([JSON.stringify(file)]))).toEqual(file);
		expect(await read(new Blob(['{"format":"other","sealed":"A"}']))).toBeUndefined();
		expect(await read(new Blob(['not json']))).toBeUndefined();
		expect(await read(new Blob(['x'.repeat(3 * 1024 * 1024)]))).toBeUndefined();
	});
});
