// @ts-check
// Journeys in the app's own window: a real screen, bus and keyring, the real server and agent.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { approve, leave, setUpHere, shownCode } from './enter.mjs';
import { shellAnswers } from './terminal.mjs';

test('first start: one click sets this computer up, and a terminal answers, end to end', async (t) => {
	const desk = await Desk.of(t);
	const window = await desk.open();
	await window.text(say('app_welcome'));
	await desk.keep('welcome');
	await setUpHere(window);
	await window.go('/devices');
	const id = await window.until(
		`return document.querySelector('main a[href^="/devices/0"]')?.getAttribute('href').split('/')[2].split('?')[0]`
	);
	await desk.keep('devices');
	await window.go(`/devices/${id}`);
	await window.text(say('app_end_to_end'));
	await desk.keep('device');
	await window.go(`/devices/${id}/terminal`);
	await window.text(say('app_end_to_end'));
	await shellAnswers(window, desk.path);
	await desk.keep('terminal');
});

test('a server is added by its address: looked at, confirmed, approved elsewhere; its token is in the keyring only, and signing out takes it back', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	const window = await desk.open();
	await window.press(say('app_add'));
	await window.fill(say('app_address'), 'javascript:alert(1)');
	await window.press(say('app_look'));
	await window.text(say('problem_not_an_address'));
	await window.fill(say('app_address'), server.url);
	await window.press(say('app_look'));
	await window.text(say('app_confirm'));
	await desk.keep('confirm');
	await window.press(say('app_sign_in_code'));
	const code = await shownCode(window);
	await desk.keep('code');
	await approve(server, code);
	await window.text('forge');
	const before = await tokens(server);
	assert.ok(before.some((name) => name.startsWith('Foreman on ')));
	assert.deepEqual(await desk.holding(/fm[a-z]_[\w-]{40,}/), []);
	assert.equal(await window.run(`return Object.values(localStorage).join().match(/fm[a-z]_/)`), null);
	await leave(window);
	await eventually(async () => !(await tokens(server)).some((name) => name.startsWith('Foreman on ')));
});

/** The names of a server's tokens. @param {import('../e2e/stack.mjs').Server} server @returns {Promise<string[]>} */
async function tokens(server) {
	const { items } = await server.api('/api/v1/tokens?limit=200');
	return items.map((token) => token.name);
}
