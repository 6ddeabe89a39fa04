// @ts-check
// The app without its server: what it knew is there, said to be old, and gives way to the truth.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter, seeDevices } from './enter.mjs';

/** The notice up to its time. */
const lost = say('link_banner_reconnecting', { time: '\0' }).split('\0')[0];

test('an app that starts without its server shows what was last known, and goes on when the server is back', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	let window = await desk.open();
	await enter(window, server);
	await seeDevices(window);
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

/** What a device's card says, and since when. @param {import('./webdriver.mjs').Window} window */
const card = (window) =>
	window.until(
		`const card = document.querySelector('main article.card');
		const numbers = [...(card?.querySelectorAll('.number') ?? [])].map((one) => parseFloat(one.textContent));
		return numbers.length > 0 && {
			name: card.querySelector('h2').textContent,
			state: card.querySelector('.state').textContent,
			since: Date.parse(card.querySelector('.state time')?.dateTime),
			cpu: numbers.at(-1)
		};`
	);

test('what happened after a page was loaded is last known too: the name, that the device went away, its last numbers and since when', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge', env: { FOREMAN_OFFLINE_AFTER_S: '5' } });
	const desk = await Desk.of(t);
	let window = await desk.open();
	await enter(window, server);
	await seeDevices(window);
	const path = `/api/v1/devices/${agent.id}`;
	const loaded = await server.api(path);
	const later = async () => (await server.api(path)).last_seen_at > loaded.last_seen_at + 3_000;
	await eventually(later);
	await server.api(path, { method: 'PATCH', json: { name: 'anvil' } });
	await agent.stop('SIGKILL');
	await window.text(say('device_offline_since'));
	await window.text('anvil');
	const last = await server.api(path);
	assert.equal(last.status, 'offline');
	await server.stop('SIGKILL');
	await window.text(lost);
	await desk.kill();

	window = await desk.open();
	await window.text(lost);
	await window.go('/devices');
	const shown = await card(window);
	await desk.keep('last-heard');
	assert.equal(shown.name, 'anvil');
	assert.ok(shown.state.includes(say('device_offline_since')), shown.state);
	assert.equal(shown.since, last.status_since);
	assert.ok(Math.abs(shown.cpu - last.latest.cpu_percent) < 0.51, `${shown.cpu} ${last.latest.cpu_percent}`);
});

test('what a task printed is last known without the server, with the time it is from', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	let window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	const { id } = await server.api(`/api/v1/devices/${agent.id}/tasks`, {
		json: { shell: 'echo $((6*7)) is the answer; sleep 600' }
	});
	const before = Date.now();
	await window.go(`/tasks/${id}`);
	await window.text('42 is the answer');
	const kept = await eventually(async () => {
		await window.run(
			`window.__TAURI_INTERNALS__.invoke('kept_output', { task: arguments[0] }).then((kept) => (window.foremanKept = kept))`,
			id
		);
		return window.run('return window.foremanKept');
	});
	assert.ok(before <= kept.at && kept.at <= Date.now(), 'by this clock');
	await server.stop('SIGKILL');
	await desk.kill();

	window = await desk.open();
	await window.text(lost);
	await window.go(`/tasks/${id}`);
	await window.text('42 is the answer');
	const time = await window.run(
		`return new Intl.DateTimeFormat('en-GB', { hour: 'numeric', minute: '2-digit' }).format(arguments[0])`,
		kept.at
	);
	await desk.keep('last-output');
	await window.text(say('output_last_known', { time }));
});
