// Whether the dashboard can reach a device, and what stands in the way: found in what is known of it, before
// anything is asked. The device decides again. Pure.

import type { Device, Me, Role } from '$lib/api/types';

export type Tool = 'terminal' | 'files' | 'logs';

export type Obstacle =
	| { kind: 'pending' }
	| { kind: 'offline'; since: number; seen?: number }
	/** Its agent is from before the device link. */
	| { kind: 'old-agent' }
	/** The device lets this server do nothing. */
	| { kind: 'not-trusted' }
	/** The device's policy; `setting` is what to change there. */
	| { kind: 'policy'; setting: string };

/** What of the policy each tool needs. */
const NEEDS = {
	terminal: ['allow_bash', 'ALLOW_BASH'],
	files: ['allow_file_read', 'ALLOW_FILE_READ'],
	logs: ['allow_logs', 'ALLOW_LOGS']
} as const;

export function obstacleOf(device: Device, tool?: Tool): Obstacle | undefined {
	if (device.status === 'pending') return { kind: 'pending' };
	if (!device.link) return { kind: 'old-agent' };
	if (!device.link.server_level) return { kind: 'not-trusted' };
	if (tool && device.policy) {
		const [allowed, setting] = NEEDS[tool];
		if (!device.policy[allowed]) return { kind: 'policy', setting };
	}
	if (device.status === 'offline') {
		return { kind: 'offline', since: device.status_since, seen: device.last_seen_at ?? undefined };
	}
	return undefined;
}

/** Why somebody may only look: their role here, or what the device gave this dashboard. */
export type ReadOnly = 'role' | 'level' | 'policy';

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin', 'owner'];

export function readOnlyFor(device: Device, me: Me | undefined, tool: Tool): ReadOnly | undefined {
	if (!me || ROLES.indexOf(me.role) < ROLES.indexOf('operator')) return 'role';
	if (device.link?.server_level === 'view') return 'level';
	if (tool === 'files' && device.policy && !device.policy.allow_file_write) return 'policy';
	return undefined;
}

/** What only `admin` may do on the device: by role and by what the device gave. */
export function mayAdminister(device: Device, me: Me | undefined): boolean {
	const admin = me !== undefined && ROLES.indexOf(me.role) >= ROLES.indexOf('admin');
	return admin && device.link?.server_level === 'admin';
}
