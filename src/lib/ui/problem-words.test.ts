import { beforeEach, expect, it, vi } from 'vitest';
import { ProblemError } from '$lib/host';
import { language } from '$lib/i18n';
import { wordsFor } from './problem-words';

vi.stubGlobal('document', { documentElement: {} });
beforeEach(() => language.choose('en'));

it('says for how long somebody who tried too often has to wait, and never too short a time', () => {
	const todo = (details: Record<string, unknown>) =>
		wordsFor(new ProblemError('rate_limited', '', 429, details))
			.todo?.replaceAll('\u00a0', ' ')
			// Some regions write the plural.
			.replace('mins', 'min');
	expect(todo({ retry_after_s: 42 })).toBe('Try again in 42 s.');
	expect(todo({ retry_after_s: 61 })).toBe('Try again in 2 min.');
	expect(todo({ retry_after_s: 3_541 })).toBe('Try again in 1 h.');
	expect(todo({})).toBe('Try again in 1 min.');
});

it('names the setting by which a device says no, where the device named it', () => {
	const what = (details?: Record<string, unknown>) =>
		wordsFor(new ProblemError('policy_forbids', '', 403, details)).what;
	expect(what({ setting: 'ALLOW_FILE_READ' })).toContain('ALLOW_FILE_READ');
	expect(what()).not.toContain('undefined');
});

it('says which of many causes a refusal has, in both languages', () => {
	const told = (code: 'conflict' | 'limit_reached', reason: string) =>
		wordsFor(new ProblemError(code, 'In the device’s words.', 409, { reason, limit: 64 }));
	expect(told('conflict', 'no_trash').what).toMatch(/trash.*Nothing was deleted/);
	language.choose('de');
	expect(told('conflict', 'no_trash').what).toMatch(/Papierkorb.*Nichts wurde gelöscht/);
	expect(told('limit_reached', 'terminals_open').what).toMatch(/so viele Terminals offen/);
	expect(told('limit_reached', 'terminals_open').todo).toBeUndefined();
});

it('keeps what a device says of a cause that it names no word for, or one that is not known yet', () => {
	for (const code of ['conflict', 'limit_reached'] as const) {
		for (const details of [{}, { reason: 'of_a_later_version' }, { reason: 'constructor' }]) {
			const words = wordsFor(new ProblemError(code, 'Only this much.', 409, details));
			expect(words.todo).toBe('Only this much.');
		}
	}
});
