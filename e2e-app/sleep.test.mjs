// @ts-check
// A machine that slept: its clock went on while it stood still, and what was connected is dead without saying so.
import assert from 'node:assert/strict';
import { chmod, rename, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, leaveOut, stack } from '../e2e/stack.mjs';
import { wire } from '../e2e/wire.mjs';
import { say } from '../e2e/words.mjs';
import { APP, Desk } from './desk.mjs';
import { confirm } from './enter.mjs';

/** Debian's package `faketime`. */
const FAKETIME = ['x86_64', 'aarch64'].map(
	(machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`
);
/** Less than until a subscription by itself takes silence for a loss, ms. */
const SOON = 20_000;

/** The app under a clock that a test sets: the one of people, not the one that stands still in a sleep. @param {Desk} desk @param {string} library */
async function clocked(desk, library) {
	const [program, offset] = [join(desk.path, 'foreman-app.sh'), join(desk.path, 'clock')];
	const set = async (/** @type {string} */ to) => {
		// Never half there.
		await writeFile(`${offset}.new`, `${to}\n`);
		await rename(`${offset}.new`, offset);
	};
	await set('+0d');
	const env = `LD_PRELOAD=${library} FAKETIME_TIMESTAMP_FILE=${offset} FAKETIME_NO_CACHE=1 NO_FAKE_STAT=1`;
	const monotonic = 'FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1';
	await writeFile(program, `#!/bin/sh\nexec env ${env} ${monotonic} ${APP} "$@"\n`);
	await chmod(program, 0o700);
	return { program, set };
}

test('after a sleep the app asks anew what happened meanwhile, at once, over connections that are dead', async (t) => {
	const library = FAKETIME.find((path) => existsSync(path));
	if (!library) return leaveOut(t, 'clocks cannot be faked here; apt-get install faketime');
	const cable = await wire(t);
	const { server, agent } = await stack(t, { device: 'forge' });
	cable.leadTo(server.url);
	const desk = await Desk.of(t, { services: true });
	const clock = await clocked(desk, library);
	const window = await desk.open([], clock.program);
	await window.press(say('app_add'));
	await window.fill(say('app_address'), cable.url);
	await window.press(say('app_look'));
	await confirm(window, server);
	await window.text('forge');
	const run = async (/** @type {number} */ code) => {
		const path = `/api/v1/devices/${agent.id}/tasks`;
		const { id } = await server.api(path, { json: { shell: `exit ${code}` } });
		await eventually(async () => (await server.api(`/api/v1/tasks/${id}`)).state === 'failed');
	};
	const told = (/** @type {number} */ code) => async () =>
		desk.services.notices.some((one) => one.body.includes(say('notice_exit', { code })));
	await run(4);
	await eventually(told(4));

	cable.hush();
	await run(5);
	assert.equal(await told(5)(), false, 'nothing is heard any more');
	await clock.set('+1h');
	await eventually(told(5), SOON);
});
