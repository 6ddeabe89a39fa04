// @ts-check
// A sign-in that is taken back at the server: the app says so, in its window and in the tray, and forgets what it knew.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter, seeDevices } from './enter.mjs';

test('a sign-in that the server took back ends in the app: it says why, shows nothing of that server any more, and leads back in', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const name = new URL(server.url).host;
	const desk = await Desk.of(t, { services: true });
	let window = await desk.open();
	await enter(window, server);
	await seeDevices(window);
	await desk.services.says(say('tray_state', { server: name, online: 1, all: 1 }));

	const { items } = await server.api('/api/v1/tokens?limit=200');
	const own = items.find((/** @type {{ name: string }} */ token) => token.name.startsWith('Foreman on '));
	await server.api(`/api/v1/tokens/${own.id}`, { method: 'DELETE' });
	await window.text(say('app_refused_lead', { server: name }));
	await desk.keep('refused');
	await desk.services.says(say('tray_signed_out', { server: name }));

	// With the server away it is what this app knows that is shown: nothing.
	await server.stop('SIGKILL');
	await desk.kill();
	window = await desk.open();
	await window.text(say('problem_unreachable'));
	assert.ok(!(await window.run('return document.body.innerText')).includes('forge'));

	await server.start();
	await desk.kill();
	window = await desk.open();
	await window.text(say('app_refused_lead', { server: name }));
	await enter(window, server);
	await window.text('forge');
	await desk.services.says(say('tray_state', { server: name, online: 1, all: 1 }));
});
