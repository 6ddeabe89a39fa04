// @ts-check
// Every page of the dashboard with something real on it, for the journeys that visit them all.
import { eventually } from './stack.mjs';

/**
 * A task that ended, one that failed and one that runs.
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
	return { done: done.id, failed: failed.id, running: running.id };
}

/** Their paths. @param {{ device: string, task: string }} ids */
export const PAGES = ({ device, task }) => [
	'/',
	'/devices',
	'/devices?view=servers',
	'/devices?add',
	`/devices/${device}`,
	'/work',
	'/work?new',
	`/tasks/${task}`,
	'/activity',
	'/settings',
	'/settings/appearance',
	'/settings/devices',
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
