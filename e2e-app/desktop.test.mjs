// @ts-check
// What a desktop expects of a program: its window comes back as it was left, and links of the system reach it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { APP, Desk } from './desk.mjs';
import { enter } from './enter.mjs';

test('the window comes back where it was and as large as it was, and maximised when it was that', async (t) => {
	const desk = await Desk.of(t);
	let window = await desk.open();
	await window.text(say('app_welcome'));
	const first = await desk.frame();
	await desk.place({ x: 140, y: 90, width: 700, height: 620 });
	const placed = await eventually(async () => {
		const now = await desk.frame();
		return now.width === 700 && now.height === 620 && now.x !== first.x && now;
	});
	await desk.closeWindow();
	await desk.gone();

	window = await desk.open();
	await window.text(say('app_welcome'));
	await eventually(async () => JSON.stringify(await desk.frame()) === JSON.stringify(placed));
	await window.call('POST', '/window/maximize', {});
	const whole = await eventually(async () => {
		const now = await desk.frame();
		return now.width > 1_200 && now;
	});
	await desk.closeWindow();
	await desk.gone();

	window = await desk.open();
	await window.text(say('app_welcome'));
	await eventually(async () => (await desk.frame()).width === whole.width);
	await desk.keep('maximised');
});

test('the system brings links to the app that runs: it is who they belong to, for this person', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	const handler = join(desk.env.XDG_DATA_HOME, 'applications/foreman-app-handler.desktop');
	await eventually(async () => (await readFile(handler, 'utf8').catch(() => '')).includes(`Exec=${APP} %u`));
	const list = join(desk.env.XDG_CONFIG_HOME, 'mimeapps.list');
	await eventually(async () =>
		/^x-scheme-handler\/foreman=foreman-app-handler\.desktop/m.test(
			await readFile(list, 'utf8').catch(() => '')
		)
	);
	for (const [page, ...opener] of [
		[`/devices/${agent.id}`, 'gio', 'open'],
		['/devices', 'xdg-open']
	]) {
		const { code } = await desk.follow([...opener, `foreman://open${page}`]);
		assert.equal(code, 0, opener.join(' '));
		await window.until('return location.pathname === arguments[0]', page);
	}
	await desk.alone();
});
