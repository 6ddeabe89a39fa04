import { describe, expect, it } from 'vitest';
import type { PushFailure } from '$lib/api/types';
import { ProblemError } from '$lib/host';
import { m } from '$lib/i18n';
import { failureOf, saidOf, whyFailed } from './words';

describe('why a push did not get through', () => {
	it('has words for a code, by who carries it, and some for a code of tomorrow', () => {
		expect(whyFailed({ code: 'busy', status: 429 }, 'ntfy')).toBe(m.push_why_busy());
		expect(whyFailed({ code: 'not_allowed' }, 'ntfy')).toBe(m.push_why_not_allowed_ntfy());
		expect(whyFailed({ code: 'not_allowed' }, 'apns')).toBe(m.push_why_not_allowed());
		expect(whyFailed({ code: 'eclipsed' } as unknown as PushFailure, 'ntfy')).toBe(m.push_why_unknown());
	});

	it('keeps what the carrier said beside it', () => {
		expect(saidOf({ code: 'busy', status: 429, detail: 'slow down' })).toBe('429 · slow down');
		expect(saidOf({ code: 'no_answer' })).toBe('');
	});

	it('is found in what a test answers, and nowhere else', () => {
		const details = { failure: { code: 'refused', status: 400 } };
		expect(failureOf(new ProblemError('upstream_failed', '', 502, details))).toEqual(details.failure);
		expect(failureOf(new ProblemError('rate_limited', '', 429))).toBeUndefined();
	});
});
