import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { ApiToken } from '$lib/api/types';
import { Revocations, UNDO_MS } from './revocations';

const token: ApiToken = { id: 't1', name: 'nightly', role: 'viewer', created_at: 0 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp(revoke: (id: string) => Promise<unknown>) {
	const shown: string[][] = [];
	const failures: unknown[] = [];
	const revocations = new Revocations(
		revoke,
		(gone) => shown.push([...gone]),
		(_, thrown) => failures.push(thrown)
	);
	return { revocations, shown, failures };
}

it('hides at once and revokes after the time to change one’s mind', async () => {
	const revoke = vi.fn(() => Promise.resolve());
	const { revocations, shown } = setUp(revoke);
	revocations.add(token);
	revocations.add(token);
	expect(shown).toEqual([['t1']]);
	expect(revoke).not.toHaveBeenCalled();
	await vi.advanceTimersByTimeAsync(UNDO_MS);
	expect(revoke).toHaveBeenCalledExactlyOnceWith('t1');
});

it('can be undone until then', async () => {
	const revoke = vi.fn(() => Promise.resolve());
	const { revocations, shown } = setUp(revoke);
	revocations.add(token);
	revocations.undo('t1');
	await vi.advanceTimersByTimeAsync(UNDO_MS * 2);
	expect(revoke).not.toHaveBeenCalled();
	expect(shown.at(-1)).toEqual([]);
});

it('shows the token again when the server says no', async () => {
	const { revocations, shown, failures } = setUp(() => Promise.reject(new Error('no')));
	revocations.add(token);
	revocations.flush();
	await vi.advanceTimersByTimeAsync(0);
	expect(shown.at(-1)).toEqual([]);
	expect(failures).toHaveLength(1);
});
