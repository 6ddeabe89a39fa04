// @ts-check
// What goes away and comes back: the server, and the app itself.
import assert from 'node:assert/strict';
import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, PROGRAMS, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter, setUpHere } from './enter.mjs';

const LIVE = `return document.body.innerText.includes(arguments[0])`;

test('a task is run and its output is read; a server that is killed is said to be gone, and is there again by itself', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	const task = await server.api(`/api/v1/devices/${agent.id}/tasks`, {
		json: { shell: 'echo $((6*7)) is the answer; sleep 600' }
	});
	await window.go(`/tasks/${task.id}`);
	await window.text('42 is the answer');
	await desk.keep('task');
	await window.until(LIVE, say('link_live'));
	await server.stop('SIGKILL');
	await window.until(`return !document.body.innerText.includes(arguments[0])`, say('link_live'));
	await desk.keep('server-gone');
	await window.text('42 is the answer');
	await server.start();
	await window.until(LIVE, say('link_live'));
});

/** Whether this process is one of Foreman's programs. @param {number} pid */
const runs = async (pid) =>
	(await readlink(`/proc/${pid}/exe`).catch(() => '')).startsWith(join(PROGRAMS, 'foreman-'));

test('an app that is killed finds its server, its agent and its device again, and leaves nobody behind', async (t) => {
	const desk = await Desk.of(t);
	let window = await desk.open();
	await setUpHere(window);
	const folder = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/this-computer');
	const pids = () =>
		Promise.all(
			['server.pid', 'agent.pid'].map(async (name) => Number(await readFile(join(folder, name), 'utf8')))
		);
	const before = await eventually(() => pids().catch(() => undefined));
	await desk.kill();

	window = await desk.open();
	await window.until("return location.pathname === '/' && !!document.querySelector('main')");
	await window.until(LIVE, say('link_live'));
	const after = await eventually(async () => {
		const now = await pids().catch(() => undefined);
		return now && now.every((pid) => !before.includes(pid)) && now;
	});
	// What was left behind has ended.
	for (const pid of before) await eventually(async () => !(await runs(pid)));
	for (const pid of after) assert.equal(await runs(pid), true);
	await window.go('/devices');
	const links = await window.until(
		`const all = [...document.querySelectorAll('main a[href^="/devices/0"]')].map((it) => it.getAttribute('href').split(/[/?]/)[2]); return all.length && all`
	);
	assert.equal(new Set(links).size, 1, 'this computer is there once');

	// A signal to end takes both along.
	process.kill((await desk.pids())[0], 'SIGTERM');
	await eventually(async () => (await desk.pids()).length === 0);
	for (const pid of after) await eventually(async () => !(await runs(pid)));
});
