// @ts-check
// Every page of the dashboard with something real on it, for the journeys that visit them all.
import { eventually } from './stack.mjs';

/**
 * A task that ended, one that failed and one that runs, and an open terminal.
 * @param {import('./stack.mjs').Server} server @param {string} device
 */
export async function busy(server, device) {
	const run = (/** @type {string} */ shell) =>
		server.api(`/api/v1/devices/${device}/tasks`, { json: { shell } });
	const done = await run('uname -sr && df -h /');
	const failed = await run('ls /data/checkpoints');
	const running = await run(
		'while sleep 0.5; do echo "$(date +%T)  load $(cut -d" " -f1-3 /proc/loadavg)"; done'
	);
	const state = async (/** @type {string} */ id) => (await server.api(`/api/v1/tasks/${id}`)).state;
	await eventually(
		async () => (await state(done.id)) === 'succeeded' && (await state(failed.id)) === 'failed'
	);
	await eventually(async () => (await server.api(`/api/v1/tasks/${running.id}`)).output_bytes > 0);
	const terminal = await server.api(`/api/v1/devices/${device}/link/terminals`, {
		json: { cols: 80, rows: 24, command: ['sh', '-c', 'ls --color=always -l /usr; exec sh'], name: 'shell' }
	});
	return { done: done.id, failed: failed.id, running: running.id, terminal: terminal.id };
}

/** Their paths. @param {{ device: string, task: string, terminal: string }} ids */
export const PAGES = ({ device, task, terminal }) => [
	'/',
	'/devices',
	'/devices?view=servers',
	'/devices?add',
	`/devices/${device}`,
	`/devices/${device}/terminal`,
	`/devices/${device}/terminal/${terminal}`,
	`/devices/${device}/files?path=/usr`,
	`/devices/${device}/files?path=/usr/lib&find=os-release`,
	`/devices/${device}/files?path=/usr/lib&grep=`,
	`/devices/${device}/files/view?path=/usr/lib/os-release&line=2`,
	`/devices/${device}/logs?source=task:${task}`,
	'/link',
	'/work',
	'/work?new',
	`/tasks/${task}`,
	'/models',
	'/models?add',
	'/models/catalogue',
	'/models/routing',
	'/models/keys',
	'/models/keys?new',
	'/models/usage',
	'/activity',
	'/settings',
	'/settings/account',
	'/settings/appearance',
	'/settings/notifications',
	'/settings/devices',
	'/settings/vault',
	'/settings/sign-ins',
	'/settings/tokens',
	'/settings/server',
	'/settings/about',
	'/chat',
	'/more'
];

/** Where nothing is. */
export const NOWHERE = '/nothing/here';

/** Pages for whoever is not signed in. */
export const DOORS = ['/sign-in'];
