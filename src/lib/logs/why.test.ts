import { beforeEach, expect, it, vi } from 'vitest';
import { language } from '$lib/i18n';
import { whyWords } from './why';

vi.stubGlobal('document', { documentElement: {} });
beforeEach(() => language.choose('de'));

it('says why a log cannot be read in the reader’s language, with what belongs to it', () => {
	const reason = 'the agent’s user may not read it (add it to the group systemd-journal)';
	const told = { code: 'no_right', reason };
	expect(whyWords({ ...told, detail: 'systemd-journal' })).toContain('in die Gruppe systemd-journal auf');
	expect(whyWords(told)).toBe('der Benutzer des Agenten darf es nicht lesen');
	expect(whyWords({ code: 'too_many_readers', reason: '64 logs', detail: 64 })).toContain('(64)');
	expect(whyWords({ code: 'said', reason: 'docker says: no', detail: 'no' })).toBe('das Gerät meldet „no“');
});

it('keeps the words of a device that has no code, or one that is not known yet', () => {
	for (const code of [undefined, null, 'unknown', 'constructor'])
		expect(whyWords({ code, reason: 'not installed' })).toBe('not installed');
});
