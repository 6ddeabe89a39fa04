// @ts-check
// A computer without a keychain, or with one that does not open: the app asks once, keeps what it has to keep in a sealed
// file, and wants the passphrase at each start.
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { approve, enter, shownCode } from './enter.mjs';

const PASSPHRASE = 'a passphrase of the test';

test('without a keychain a sealed file stands in for it, once the person agreed, and opens with the passphrase only', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { keyring: false });
	let window = await desk.open();
	await window.press(say('app_add'));
	await window.fill(say('app_address'), server.url);
	await window.press(say('app_look'));
	await window.text(say('app_confirm'));
	await window.press(say('app_sign_in_code'));
	await approve(server, await shownCode(window));
	await window.text(say('signin_file_make_lead').slice(0, 40));
	await desk.keep('secret-file');
	await window.fill(say('signin_file_passphrase'), PASSPHRASE);
	await window.fill(say('signin_file_repeat'), PASSPHRASE);
	await window.press(say('signin_file_agree'));
	await enter(window, server);
	const file = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/secrets.json');
	assert.equal((await stat(file)).mode & 0o777, 0o600);
	assert.doesNotMatch(await readFile(file, 'utf8'), /fm[a-z]_|owner-key/);

	await window.close();
	window = await desk.open();
	await window.text(say('signin_file_open_lead').slice(0, 40));
	await window.fill(say('signin_file_passphrase'), 'another passphrase');
	await window.press(say('signin_file_unlock'));
	await window.text(say('problem_passphrase_wrong').slice(0, 30));
	await window.fill(say('signin_file_passphrase'), PASSPHRASE);
	await window.press(say('signin_file_unlock'));
	await window.text('forge');
});

/** Presses a button of the dialog: the page behind may have one of this name too. @param {import('./webdriver.mjs').Window} window @param {string} name */
const pressInDialog = (window, name) =>
	window.until(
		`const button = [...document.querySelectorAll('[role=dialog] button')].find((it) => it.textContent.trim() === arguments[0]); button?.click(); return !!button;`,
		name
	);

test('a keychain that is locked is asked again once it is open, or a sealed file takes its place and nothing is taken from it', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	let window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	await window.close();
	const kept = (await desk.services.secrets()).sort();

	await desk.lock();
	window = await desk.open();
	await window.text(say('signin_file_locked_lead').slice(0, 40));
	await desk.keep('keychain-locked');
	await desk.unlock();
	await pressInDialog(window, say('signin_file_locked_again'));
	await window.text('forge');
	await window.close();

	await desk.lock();
	window = await desk.open();
	await window.press(say('signin_file_instead_use'));
	await window.fill(say('signin_file_passphrase'), PASSPHRASE);
	await window.fill(say('signin_file_repeat'), PASSPHRASE);
	await window.press(say('signin_file_agree'));
	await window.text(say('app_again'));
	await enter(window, server);
	await window.text('forge');
	await desk.unlock();
	assert.deepEqual((await desk.services.secrets()).sort(), kept);
});

test('a keychain that says nothing is waited for a while only, by one call and not by those after it', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	let window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	await window.close();

	desk.hush(true);
	window = await desk.open();
	await window.text(say('signin_file_locked_lead').slice(0, 40));
	await window.run(
		`const began = performance.now();
		window.__TAURI_INTERNALS__.invoke('provider_sign_ins')
			.catch(({ code }) => (window.foremanSaid = [code, performance.now() - began]));`
	);
	const [code, ms] = await window.until('return window.foremanSaid');
	assert.equal(code, 'keychain_locked');
	assert.ok(ms < 2_000, `${ms} ms`);
	desk.hush(false);
	await pressInDialog(window, say('signin_file_locked_again'));
	await window.text('forge');
});
