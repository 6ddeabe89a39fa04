// @ts-check
// The app without its server: what it knew is there, said to be old, and gives way to the truth.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

/** The notice up to its time. */
const lost = say('link_banner_reconnecting', { time: '\0' }).split('\0')[0];

test('an app that starts without its server shows what was last known, and goes on when the server is back', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	let window = await desk.open();
	await enter(window, server);
	await window.go('/devices');
	await window.text('forge');
	await window.text(say('link_live'));
	await window.close();
	await server.stop('SIGKILL');

	window = await desk.open();
	await window.text(lost);
	await window.go('/devices');
	await window.text('forge');
	await desk.keep('last-known');
	const folder = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app');
	for (const name of (await readdir(folder)).filter((one) => one.startsWith('last-known'))) {
		assert.ok(!(await readFile(join(folder, name), 'latin1')).includes('forge'), `${name} can be read`);
	}

	await server.start();
	await window.text(say('link_live'));
	await window.until('return !document.body.textContent.includes(arguments[0])', lost);
	await window.text('forge');
});
