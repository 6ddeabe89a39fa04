import { describe, expect, it } from 'vitest';
import { ProblemError, type ProviderStep } from '$lib/host';
import { Attempt } from './attempt.svelte';

/** The app's side, held in hand. */
function stage() {
	const called: string[] = [];
	let tell!: (step: ProviderStep) => void;
	let end!: () => void;
	let fail!: (problem: unknown) => void;
	const attempt = new Attempt(
		'github-copilot',
		true,
		{
			begin: (id, keepInVault, step) => {
				called.push(`begin ${id} ${keepInVault}`);
				tell = step;
				return new Promise((resolve, reject) => {
					end = resolve;
					fail = reject;
				});
			},
			openPage: (id) => Promise.resolve(void called.push(`open ${id}`)),
			cancel: (id) => Promise.resolve(void called.push(`cancel ${id}`))
		},
		() => 1_000
	);
	return { attempt, called, tell, end: () => end(), fail: (problem: unknown) => fail(problem) };
}

const CODE: ProviderStep = {
	kind: 'code',
	user_code: 'WDJB-MJHT',
	page: 'https://github.com/login/device',
	expires_in: 900
};

describe('a sign-in to a provider', () => {
	it('shows a code, waits, and is done', async () => {
		const { attempt, called, tell, end } = stage();
		expect([attempt.state, attempt.waits]).toEqual(['asking', true]);
		tell(CODE);
		expect([attempt.state, attempt.code, attempt.until]).toEqual(['code', 'WDJB-MJHT', 901_000]);
		attempt.open();
		end();
		await attempt.ended;
		expect([attempt.state, attempt.waits]).toEqual(['done', false]);
		expect(called).toEqual(['begin github-copilot true', 'open github-copilot']);
	});

	it('opens the browser by itself where there is no code', () => {
		const { attempt, called, tell } = stage();
		tell({ kind: 'browser' });
		expect(attempt.state).toBe('browser');
		expect(called).toContain('open github-copilot');
	});

	it.each(['sign_in_denied', 'sign_in_expired', 'provider_failed'] as const)('says %s', async (code) => {
		const { attempt, tell, fail } = stage();
		tell(CODE);
		fail(new ProblemError(code, 'for the test'));
		await attempt.ended;
		expect([attempt.state, attempt.problem?.code]).toEqual(['failed', code]);
	});

	it('that was given up stays so, whatever comes after', async () => {
		const { attempt, called, tell, fail } = stage();
		tell(CODE);
		attempt.giveUp();
		attempt.giveUp();
		tell(CODE);
		fail(new ProblemError('sign_in_expired', 'given up'));
		await attempt.ended;
		expect([attempt.state, attempt.problem]).toEqual(['given_up', undefined]);
		expect(called.filter((one) => one.startsWith('cancel'))).toEqual(['cancel github-copilot']);
	});
});
