// Whether a device can be reached, and what stands in the way: found in what is known of it, before anything is asked.
// Who reaches it end to end goes by the device's own word; everyone else by what it gave the server. The device decides
// again. Pure.

import type { Device, Level, Me, Role } from '$lib/api/types';

export type Tool = 'terminal' | 'files' | 'logs';

/** How the device is reached. */
export interface Way {
	/** Nothing has come of it yet. */
	looking: boolean;
	/** End to end, now. */
	straight: boolean;
	/** What the device itself allows, as it said last; nothing for the server's clients. */
	level?: Level;
}

export type Obstacle =
	| { kind: 'pending' }
	/** By the server's word it cannot be reached, and a way of the app's own is being looked for. */
	| { kind: 'looking' }
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

export function obstacleOf(device: Device, way: Way, tool?: Tool): Obstacle | undefined {
	if (device.status === 'pending') return { kind: 'pending' };
	if (!device.link) return { kind: 'old-agent' };
	const untrusted = !device.link.server_level && !way.level;
	const away = device.status === 'offline' && !way.straight;
	if (way.looking && !way.level && (untrusted || away)) return { kind: 'looking' };
	if (untrusted) return { kind: 'not-trusted' };
	if (tool && device.policy) {
		const [allowed, setting] = NEEDS[tool];
		if (!device.policy[allowed]) return { kind: 'policy', setting };
	}
	if (away) return { kind: 'offline', since: device.status_since, seen: device.last_seen_at ?? undefined };
	return undefined;
}

/** Why somebody may only look: their role at the server, what the device gave, or its policy. */
export type ReadOnly = 'role' | 'level' | 'policy';

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin', 'owner'];

export function readOnlyFor(device: Device, me: Me | undefined, way: Way, tool: Tool): ReadOnly | undefined {
	if (!way.level && (!me || ROLES.indexOf(me.role) < ROLES.indexOf('operator'))) return 'role';
	if ((way.level ?? device.link?.server_level) === 'view') return 'level';
	if (tool === 'files' && device.policy && !device.policy.allow_file_write) return 'policy';
	return undefined;
}

/** What only `admin` may do on the device: by its own word, or by role and by what it gave the server. */
export function mayAdminister(device: Device, me: Me | undefined, way: Way): boolean {
	if (way.level) return way.level === 'admin';
	const admin = me !== undefined && ROLES.indexOf(me.role) >= ROLES.indexOf('admin');
	return admin && device.link?.server_level === 'admin';
}
