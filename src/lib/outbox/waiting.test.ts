import { afterEach, expect, it, vi } from 'vitest';
import { ProblemError } from '$lib/host';
import { isLabel, wordsOf } from './labels';
import { isAway, nowOrLater } from './waiting.svelte';

afterEach(() => void vi.unstubAllGlobals());

const change = {
	method: 'PATCH',
	path: '/api/v1/devices/d',
	body: { name: 'anvil' },
	about: 'device d',
	label: { kind: 'rename-device', was: 'forge', name: 'anvil' }
} as const;

it('sends a change with a key of its own, each time another', async () => {
	const keys: string[] = [];
	const send = (headers: Record<string, string>) => {
		keys.push(headers['Idempotency-Key'] ?? '');
		return Promise.resolve('made');
	};
	expect(await nowOrLater(change, send)).toBe('made');
	await nowOrLater(change, send);
	expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
	expect(keys[0]).not.toBe(keys[1]);
});

it('fails at once in a browser, which keeps nothing, and for what is refused anywhere', async () => {
	for (const code of ['unreachable', 'forbidden'] as const) {
		const problem = new ProblemError(code, '');
		await expect(nowOrLater(change, () => Promise.reject(problem))).rejects.toBe(problem);
	}
});

it('knows a server that is away from one that says no', () => {
	expect(isAway(new ProblemError('unreachable', ''))).toBe(true);
	expect(isAway(new ProblemError('unavailable', '', 502))).toBe(true);
	expect(isAway(new ProblemError('device_unreachable', '', 503))).toBe(false);
	expect(isAway(new ProblemError('conflict', '', 409))).toBe(false);
});

it('shows what it understands and nothing else', () => {
	expect(wordsOf(change.label)).toEqual({ what: 'Rename the device forge', detail: 'anvil' });
	expect(isLabel({ kind: 'burn' })).toBe(false);
	expect(isLabel(null)).toBe(false);
});
