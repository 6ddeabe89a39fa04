import { describe, expect, it } from 'vitest';
import type { Device, EventRecord, Provider, Task } from '$lib/api/types';
import { attention, endedSince, type Seen } from './attention';
import type { ModelNews } from './model-news.svelte';
import { failedSignInOf, type FailedSignIn } from './refusals';

const NOW = 100 * 60_000;
const NOTHING_SEEN = { until: 0, tasks: [] };

const device = (id: string, change: Partial<Device>): Device => ({
	id,
	name: id,
	type: 'inference',
	status: 'online',
	status_since: 10,
	created_at: 0,
	version: 1,
	...change
});
const task = (id: string, change: Partial<Task>): Task => ({
	id,
	device_id: 'd',
	command: { shell: 'true' },
	state: 'failed',
	requested_by: { kind: 'host' },
	created_at: 1,
	output_bytes: 0,
	output_start: 0,
	version: 1,
	...change
});
const kinds = (items: { id: string }[]) => items.map(({ id }) => id);

const refusal = (cursor: number, at: number, count: number, id = 'd') => ({
	cursor,
	at,
	count,
	from: '10.0.0.9',
	device: { id, name: id }
});

describe('callers that were turned away', () => {
	const find = (refusals: ReturnType<typeof refusal>[], seen = NOTHING_SEEN) =>
		attention([], [], seen, NOW, { refusals, signIns: [] });

	it('are one alert for each device, with how many there were', () => {
		const items = find([refusal(1, NOW - 2_000, 3), refusal(2, NOW - 1_000, 4), refusal(3, NOW, 1, 'e')]);
		expect(kinds(items)).toEqual(['refused 3', 'refused 2']);
		expect(items[1]).toMatchObject({ refusal: { count: 7 } });
	});

	it('are none after an hour, and when they were seen', () => {
		expect(find([refusal(1, NOW - 3_600_000, 3)])).toEqual([]);
		expect(find([refusal(1, NOW - 1_000, 3)], { until: 0, tasks: ['refused 1'] as never[] })).toEqual([]);
	});
});

describe('failed sign-ins', () => {
	const event = (cursor: number, source: string, data: object) =>
		failedSignInOf({
			cursor,
			source,
			at: NOW - 1_000 + cursor,
			type: 'sign_in.failed',
			actor: { kind: 'anonymous' },
			data: { name: 'ada', ...data }
		} as EventRecord);
	const find = (...events: (FailedSignIn | undefined)[]) =>
		attention([], [], NOTHING_SEEN, NOW, { refusals: [], signIns: events.flatMap((one) => one ?? []) });

	it('are one alert for each address, with how many there were and how long it waits', () => {
		const items = find(
			event(1, '10.0.0.9', { means: 'password' }),
			event(2, '10.0.0.9', { means: 'link', wait_s: 60 }),
			event(3, '10.0.0.8', { means: 'token' })
		);
		expect(kinds(items)).toEqual(['sign-in 3', 'sign-in 2']);
		expect(items[1]).toMatchObject({ failed: { count: 2, waitsUntil: NOW - 1_000 + 2 + 60_000 } });
		expect(items[0]).toMatchObject({ failed: { count: 1, waitsUntil: undefined } });
	});

	it('are not those that a person answered with no', () => {
		expect(find(event(1, '10.0.0.9', {}))).toEqual([]);
	});
});

describe('attention', () => {
	it('names what is not as it should be, newest first', () => {
		const items = attention(
			[
				device('fine', {}),
				device('away', { status: 'offline', status_since: 50 }),
				device('full', { gpu_memory_high: true, last_seen_at: 90 })
			],
			[
				task('bad', { ended_at: 70 }),
				task('good', { state: 'succeeded', ended_at: 80 }),
				task('asked', { state: 'stopped', ended_at: 80 }),
				task('gone', { state: 'lost', ended_at: 60 })
			],
			NOTHING_SEEN,
			NOW
		);
		expect(kinds(items)).toEqual(['gpu full', 'task bad', 'task gone', 'offline away']);
	});

	it('forgets tasks that were seen, all at once or one by one', () => {
		const tasks = [
			task('old', { ended_at: 10 }),
			task('one', { ended_at: 30 }),
			task('two', { ended_at: 40 })
		];
		expect(kinds(attention([], tasks, { until: 20, tasks: ['two'] }, NOW))).toEqual(['task one']);
	});

	it('does not hurry somebody who is connecting a device', () => {
		const made = (ago: number) => device('new', { status: 'pending', created_at: NOW - ago });
		expect(attention([made(60_000)], [], NOTHING_SEEN, NOW)).toEqual([]);
		expect(kinds(attention([made(20 * 60_000)], [], NOTHING_SEEN, NOW))).toEqual(['pending new']);
	});
});

describe('endedSince', () => {
	it('has what ended, latest first', () => {
		const tasks = [
			task('a', { ended_at: 5 }),
			task('b', { ended_at: 20 }),
			task('c', { state: 'running' }),
			task('d', { ended_at: 30 })
		];
		expect(kinds(endedSince(tasks, 10))).toEqual(['d', 'b']);
	});
});

describe('models', () => {
	const provider = (name: string, change: Partial<Provider> = {}): Provider => ({
		id: name,
		kind: 'anthropic',
		auth: 'api_key',
		name,
		found: false,
		enabled: true,
		is_default: false,
		use_for: [],
		health: { state: 'up', checked_at: 5 },
		created_at: 1,
		...change
	});
	const find = (news: Partial<ModelNews>, seen: Seen = NOTHING_SEEN) =>
		kinds(attention([], [], seen, NOW, undefined, { providers: [], vaultLocked: false, caps: [], ...news }));

	it('need somebody while a provider is paused', () => {
		const paused = provider('openai', { health: { state: 'paused' } });
		expect(find({ providers: [provider('anthropic'), paused] })).toEqual(['provider openai']);
	});

	it('need somebody while the vault is locked and a provider waits for it', () => {
		const keyed = provider('openai', { vault_key: 'openai' });
		expect(find({ vaultLocked: true, providers: [keyed] })).toEqual(['vault']);
		expect(find({ vaultLocked: true, providers: [provider('bench')] })).toEqual([]);
		expect(find({ vaultLocked: true, providers: [{ ...keyed, enabled: false }] })).toEqual([]);
	});

	it('tell of a cap once, and not after a day', () => {
		const cap = { cursor: 7, at: NOW, cap: 5, spent: 6 };
		expect(find({ caps: [cap] })).toEqual(['cap 7']);
		expect(find({ caps: [cap] }, { until: 0, tasks: ['cap 7'] })).toEqual([]);
		expect(find({ caps: [{ ...cap, at: NOW - 25 * 3_600_000 }] })).toEqual([]);
	});
});
