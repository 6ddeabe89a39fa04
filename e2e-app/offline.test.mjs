// @ts-check
// The app with its server down: the device is reached over the network they share, work begins there, and what has to
// wait for the server waits in sight, through an app that is killed, and is done once.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { approve, shownCode } from './enter.mjs';

/** Only from here on is the device called by this app itself. */
const LINK = ['--link-listen', '127.0.0.1:0', '--no-mdns'];

/** Adds the server with the rights of an admin. @param {import('./webdriver.mjs').Window} window @param {import('../e2e/stack.mjs').Server} server */
async function enterAsAdmin(window, server) {
	await window.press(say('app_add'));
	await window.fill(say('app_address'), server.url);
	await window.press(say('app_look'));
	await window.press(say('app_sign_in_code'));
	await approve(server, await shownCode(window), 'admin');
	await window.until("return location.pathname === '/' && !!document.querySelector('main')");
}

/** Goes to a page of the dashboard without losing the page. @param {import('./webdriver.mjs').Window} window @param {string} path */
async function open(window, path) {
	const [pathname] = path.split('?');
	await window.run('location.assign(arguments[0])', path).catch(() => undefined);
	await window.until(
		"return location.pathname === arguments[0] && document.readyState === 'complete' && !!document.querySelector('main')",
		pathname
	);
}

test('with its server down the app opens files, logs and a terminal, runs a task on the device, and what waits is done once when the server is back', async (t) => {
	const { server, agent, folder } = await stack(t);
	const desk = await Desk.of(t);
	let window = await desk.open();
	await enterAsAdmin(window, server);
	const owner = await window.run("return window.__TAURI_INTERNALS__.invoke('owner_key')");
	await agent.join(server, 'forge', ['bash', 'read', 'logs'], ['--owner', owner, ...LINK]);
	await writeFile(join(folder, 'letter.txt'), 'kept on the device\n');
	const page = `/devices/${agent.id}`;
	await open(window, page);
	await window.text(say('app_end_to_end'));
	await window.text(say('link_live'));
	await server.stop('SIGKILL');

	await open(window, `${page}/files?path=${encodeURIComponent(folder)}`);
	await window.text('letter.txt');
	await open(window, `${page}/logs?source=${encodeURIComponent(`file:${join(folder, 'letter.txt')}`)}`);
	await window.text('kept on the device');
	await open(window, `${page}/terminal`);
	await window.press(say('terminal_open_shell'));
	await window.until(
		`const input = document.querySelector('.xterm-helper-textarea'); input?.focus(); return !!input && input === document.activeElement;`
	);
	const answer = join(folder, 'answer');
	// Until the shell is there, what is typed is nobody's: then it is typed again.
	const answered = async () => (await readFile(answer, 'utf8').catch(() => '')) === '42\n';
	await eventually(async () => {
		await window.keys(`echo $((6*7)) > ${answer}\uE007`);
		return eventually(answered, 1000).catch(() => false);
	});

	const runs = join(folder, 'runs');
	await open(window, page);
	await window.fill(say('run_quick'), `echo ran >> ${runs}; echo heard $((40+2)) times; sleep 600`);
	await window.press(say('run_submit'));
	await window.text('heard 42 times');
	await window.text(say('task_from_device', { device: 'forge' }));
	const task = await window.run('return location.pathname.split("/").at(-1)');
	await desk.keep('offline-task');

	await open(window, page);
	await window.press(say('device_page_rename'));
	await window.fill(say('device_page_rename_label'), 'anvil');
	await window.press(say('device_page_save'));
	await window.text(say('waiting_note', { count: 1 }));
	await open(window, '/waiting');
	await window.text(say('waiting_rename_device', { name: 'forge' }));
	await window.text('anvil');
	await desk.keep('offline-waiting');

	for (const pid of await desk.pids()) process.kill(pid, 'SIGKILL');
	await eventually(async () => (await desk.pids()).length === 0);
	await window.close().catch(() => undefined);
	window = await desk.open();
	await window.text(say('waiting_note', { count: 1 }));
	await open(window, `/tasks/${task}`);
	await window.text('heard 42 times');

	await server.start();
	await window.text(say('link_live'));
	await eventually(async () => (await server.api(`/api/v1${page}`)).name === 'anvil');
	await window.until(
		'return !document.body.innerText.includes(arguments[0])',
		say('waiting_note', { count: 1 })
	);
	const { items } = await eventually(async () => {
		const tasks = await server.api(`/api/v1/tasks?device=${agent.id}`);
		return tasks.items.some((/** @type {any} */ one) => one.id === task && one.output_bytes > 0) && tasks;
	});
	assert.equal(items.length, 1, 'the task is there once');
	assert.equal(items[0].requested_by.kind, 'link');
	assert.equal(await readFile(runs, 'utf8'), 'ran\n', 'it ran once');
	const { items: log } = await server.api('/api/v1/audit?type=device.updated&limit=200');
	const renamed = log.filter((/** @type {any} */ one) => one.data.device.name === 'anvil');
	assert.equal(renamed.length, 1, 'the change was made once');
	await window.text('heard 42 times');
	await window.until(
		'return !document.body.innerText.includes(arguments[0])',
		say('task_from_device', { device: 'anvil' })
	);
});
