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
