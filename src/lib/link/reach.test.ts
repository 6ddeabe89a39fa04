import { describe, expect, it } from 'vitest';
import type { Device, Me } from '$lib/api/types';
import { mayAdminister, obstacleOf, readOnlyFor } from './reach';

const policy = { allow_bash: true, allow_file_read: true, allow_file_write: true, allow_logs: true };
const device = (part: object = {}): Device =>
	({
		id: 'd',
		name: 'bench',
		status: 'online',
		status_since: 5,
		policy: { ...policy, allowed_paths: [], blocked_paths: [] },
		link: { identity: 'x', key: {}, server_level: 'operate' },
		...part
	}) as unknown as Device;
const me = (role: string) => ({ role }) as Me;

describe('what stands in the way of a device', () => {
	it('is nothing when it is there, trusts this server and allows it', () => {
		expect(obstacleOf(device(), 'terminal')).toBeUndefined();
		expect(obstacleOf(device())).toBeUndefined();
	});

	it('is named, the most lasting reason first', () => {
		expect(obstacleOf(device({ status: 'pending' }))).toEqual({ kind: 'pending' });
		expect(obstacleOf(device({ link: null, status: 'offline' }))).toEqual({ kind: 'old-agent' });
		expect(obstacleOf(device({ link: { identity: 'x' } }))).toEqual({ kind: 'not-trusted' });
		expect(obstacleOf(device({ status: 'offline', last_seen_at: 4 }))).toEqual({
			kind: 'offline',
			since: 5,
			seen: 4
		});
	});

	it('is the policy for each tool by itself', () => {
		const strict = device({ policy: { ...policy, allow_bash: false, allow_logs: false } });
		expect(obstacleOf(strict, 'terminal')).toEqual({ kind: 'policy', setting: 'ALLOW_BASH' });
		expect(obstacleOf(strict, 'files')).toBeUndefined();
		expect(obstacleOf(strict, 'logs')).toEqual({ kind: 'policy', setting: 'ALLOW_LOGS' });
	});
});

describe('who may change things', () => {
	it('needs the role, the device’s word and its policy', () => {
		expect(readOnlyFor(device(), me('operator'), 'terminal')).toBeUndefined();
		expect(readOnlyFor(device(), me('viewer'), 'terminal')).toBe('role');
		expect(readOnlyFor(device({ link: { server_level: 'view' } }), me('owner'), 'files')).toBe('level');
		const reading = device({ policy: { ...policy, allow_file_write: false } });
		expect(readOnlyFor(reading, me('owner'), 'files')).toBe('policy');
		expect(readOnlyFor(reading, me('owner'), 'terminal')).toBeUndefined();
	});

	it('needs admin on both sides for what others own', () => {
		expect(mayAdminister(device(), me('owner'))).toBe(false);
		expect(mayAdminister(device({ link: { server_level: 'admin' } }), me('admin'))).toBe(true);
		expect(mayAdminister(device({ link: { server_level: 'admin' } }), me('operator'))).toBe(false);
	});
});
