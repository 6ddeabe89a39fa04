import { describe, expect, it } from 'vitest';
import type { Device, Me } from '$lib/api/types';
import { mayAdminister, obstacleOf, readOnlyFor, type Way } from './reach';

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
const server: Way = { looking: false, straight: false };
const straight = (level: Way['level']): Way => ({ looking: false, straight: true, level });

describe('what stands in the way of a device', () => {
	it('is nothing when it is there, trusts this server and allows it', () => {
		expect(obstacleOf(device(), server, 'terminal')).toBeUndefined();
		expect(obstacleOf(device(), server)).toBeUndefined();
	});

	it('is named, the most lasting reason first', () => {
		expect(obstacleOf(device({ status: 'pending' }), server)).toEqual({ kind: 'pending' });
		expect(obstacleOf(device({ link: null, status: 'offline' }), server)).toEqual({ kind: 'old-agent' });
		expect(obstacleOf(device({ link: { identity: 'x' } }), server)).toEqual({ kind: 'not-trusted' });
		expect(obstacleOf(device({ status: 'offline', last_seen_at: 4 }), server)).toEqual({
			kind: 'offline',
			since: 5,
			seen: 4
		});
	});

	it('is the policy for each tool by itself', () => {
		const strict = device({ policy: { ...policy, allow_bash: false, allow_logs: false } });
		expect(obstacleOf(strict, server, 'terminal')).toEqual({ kind: 'policy', setting: 'ALLOW_BASH' });
		expect(obstacleOf(strict, server, 'files')).toBeUndefined();
		expect(obstacleOf(strict, server, 'logs')).toEqual({ kind: 'policy', setting: 'ALLOW_LOGS' });
	});
});

describe('a device that is reached end to end', () => {
	const untrusting = device({ link: { identity: 'x' } });
	const away = device({ status: 'offline' });

	it('needs neither the server’s trust nor its word that it is there', () => {
		expect(obstacleOf(untrusting, straight('view'), 'files')).toBeUndefined();
		expect(obstacleOf(away, straight('operate'), 'terminal')).toBeUndefined();
		const strict = device({ link: { identity: 'x' }, policy: { ...policy, allow_bash: false } });
		expect(obstacleOf(strict, straight('admin'), 'terminal')?.kind).toBe('policy');
	});

	it('is looked for before anything is said to be in the way', () => {
		const looking: Way = { looking: true, straight: false };
		expect(obstacleOf(untrusting, looking)).toEqual({ kind: 'looking' });
		expect(obstacleOf(away, looking)).toEqual({ kind: 'looking' });
		expect(obstacleOf(device(), looking)).toBeUndefined();
	});

	it('keeps what it allowed while its path is lost', () => {
		const lost: Way = { looking: true, straight: false, level: 'operate' };
		expect(obstacleOf(untrusting, lost)).toBeUndefined();
		expect(obstacleOf(away, lost)?.kind).toBe('offline');
	});

	it('goes by its own word about rights, not by the server’s', () => {
		const looking = device({ link: { server_level: 'view' } });
		expect(readOnlyFor(looking, me('viewer'), straight('operate'), 'terminal')).toBeUndefined();
		expect(readOnlyFor(device(), me('owner'), straight('view'), 'terminal')).toBe('level');
		expect(mayAdminister(looking, undefined, straight('admin'))).toBe(true);
		const giving = device({ link: { server_level: 'admin' } });
		expect(mayAdminister(giving, me('owner'), straight('operate'))).toBe(false);
	});
});

describe('who may change things', () => {
	it('needs the role, the device’s word and its policy', () => {
		expect(readOnlyFor(device(), me('operator'), server, 'terminal')).toBeUndefined();
		expect(readOnlyFor(device(), me('viewer'), server, 'terminal')).toBe('role');
		expect(readOnlyFor(device({ link: { server_level: 'view' } }), me('owner'), server, 'files')).toBe(
			'level'
		);
		const reading = device({ policy: { ...policy, allow_file_write: false } });
		expect(readOnlyFor(reading, me('owner'), server, 'files')).toBe('policy');
		expect(readOnlyFor(reading, me('owner'), server, 'terminal')).toBeUndefined();
	});

	it('needs admin on both sides for what others own', () => {
		expect(mayAdminister(device(), me('owner'), server)).toBe(false);
		expect(mayAdminister(device({ link: { server_level: 'admin' } }), me('admin'), server)).toBe(true);
		expect(mayAdminister(device({ link: { server_level: 'admin' } }), me('operator'), server)).toBe(false);
	});
});
