// @ts-check
// The tray, start at login, keys from anywhere, and a window that is closed without an end.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { catalogue, say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

/** As the driver has it. */
const ESCAPE = '\uE00C';

test('the tray says how the fleet is, and leads to what needs somebody', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge', env: { FOREMAN_OFFLINE_AFTER_S: '5' } });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await eventually(async () => desk.services.said.some((one) => 'icon' in one));
	await desk.services.says(say('tray_no_server'));
	await enter(window, server);
	const state = (/** @type {number} */ online, name = new URL(server.url).host) =>
		say('tray_state', { server: name, online, all: 1 });
	await desk.services.says(state(1));

	desk.services.choose(say('tray_work'));
	await window.until(
		`return [...document.querySelectorAll('[role=dialog], dialog')].some((it) => it.innerText.includes(arguments[0]))`,
		say('run_title')
	);
	await window.keys(ESCAPE);
	for (const [line, path] of [
		['tray_devices', '/devices'],
		['tray_settings', '/settings'],
		['tray_about', '/settings/about']
	]) {
		desk.services.choose(say(line));
		await window.until('return location.pathname === arguments[0]', path);
	}

	await window.go('/settings/servers');
	await window.press(say('app_rename'));
	await window.fill(say('app_rename_label'), 'Home lab');
	await window.press(say('save'));
	await desk.services.says(state(1, 'Home lab'));
	await window.text('Home lab');

	await agent.stop();
	await desk.services.says(state(0, 'Home lab'));
	await desk.services.says(say('notice_offline_title', { device: 'forge' }));
	desk.services.choose(say('notice_offline_title', { device: 'forge' }));
	await window.until('return location.pathname === arguments[0]', `/devices/${agent.id}`);
	await window.run(`localStorage.setItem('foreman.locale', 'de')`);
	await window.go('/');
	await desk.services.says(say('tray_open', {}, catalogue('de')));
});

test('start at login, keys from anywhere and going on without a window are off until somebody wants them', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/app');
	const autostart = async () =>
		(await readdir(desk.env.HOME, { recursive: true })).filter((path) => path.includes('autostart/')).length;
	assert.equal(await autostart(), 0);
	await window.check(say('shell_login'));
	await eventually(async () => (await autostart()) === 1);
	await window.check(say('shell_login'));
	await eventually(async () => (await autostart()) === 0);

	await window.check(say('shell_shortcut'));
	const kept = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/preferences.json');
	await eventually(async () => (await readFile(kept, 'utf8').catch(() => '')).includes('Space'));
	await desk.keys('ctrl+shift+space');
	await window.until(`return !!document.querySelector('[role=dialog] input')`);
	await window.keys(ESCAPE);

	await window.check(say('shell_background'));
	await eventually(async () => JSON.parse(await readFile(kept, 'utf8')).background === true);
	await desk.closeWindow();
	await eventually(async () => (await desk.windows()) === 0);
	await desk.alone();
	desk.services.choose(say('tray_open'));
	await eventually(async () => (await desk.windows()) === 1);
	desk.services.choose(say('tray_quit'));
	await eventually(async () => (await desk.pids()).length === 0);
});
