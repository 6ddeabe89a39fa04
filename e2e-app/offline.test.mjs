// @ts-check
// The app with its server down: the device is reached over the network they share, work begins there, and what has to
// wait for the server waits in sight, through an app that is killed, and is done once.
import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { approve, shownCode } from './enter.mjs';
import { shellAnswers } from './terminal.mjs';

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

test('with its server down the app opens files, logs and a terminal, runs a task on the device, and what waits is done once when the server is back', async (t) => {
	const { server, agent, folder } = await stack(t);
	const desk = await Desk.of(t);
	let window = await desk.open();
	await enterAsAdmin(window, server);
	const owner = await window.run("return window.__TAURI_INTERNALS__.invoke('owner_key')");
	await agent.join(server, 'forge', ['bash', 'read', 'logs'], ['--owner', owner, ...LINK]);
	await writeFile(join(folder, 'letter.txt'), 'kept on the device\n');
	const page = `/devices/${agent.id}`;
	// None of its own pages was opened: that it was seen in the fleet is enough.
	await window.text('forge');
	await window.go('/devices');
	await window.text('forge');
	await window.text(say('link_live'));
	const devices = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/devices');
	await eventually(async () =>
		(await readdir(devices, { recursive: true })).some((name) => name.includes(`${agent.id}`))
	);
	await server.stop('SIGKILL');

	await window.go(`${page}/files?path=${encodeURIComponent(folder)}`);
	await window.text('letter.txt');
	await window.go(`${page}/logs?source=${encodeURIComponent(`file:${join(folder, 'letter.txt')}`)}`);
	await window.text('kept on the device');
	await window.go(`${page}/terminal`);
	await shellAnswers(window, folder);

	const runs = join(folder, 'runs');
	await window.go(page);
	await window.fill(say('run_quick'), `echo ran >> ${runs}; echo heard $((40+2)) times; sleep 600`);
	await window.press(say('run_submit'));
	await window.text('heard 42 times');
	await window.text(say('task_from_device', { device: 'forge' }));
	const task = await window.run('return location.pathname.split("/").at(-1)');
	await desk.keep('offline-task');

	await window.go(page);
	await window.press(say('device_page_rename'));
	await window.fill(say('device_page_rename_label'), 'anvil');
	await window.press(say('device_page_save'));
	await window.text(say('waiting_note', { count: 1 }));
	await window.go('/waiting');
	await window.text(say('waiting_rename_device', { name: 'forge' }));
	await window.text('anvil');
	await desk.keep('offline-waiting');

	await desk.kill();
	window = await desk.open();
	await window.text(say('waiting_note', { count: 1 }));
	await window.go(`/tasks/${task}`);
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
