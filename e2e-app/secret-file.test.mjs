// @ts-check
// A computer without a keychain, or with one that does not open: the app asks once, keeps what it has to keep in a sealed
// file, and wants the passphrase at each start.
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { approve, enter, lookAt, shownCode } from './enter.mjs';
import { makeFile, openFile } from './passphrase.mjs';

const PASSPHRASE = 'a passphrase of the test';

test('without a keychain a sealed file stands in for it, once the person agreed, and opens with the passphrase only', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { keyring: false });
	let window = await desk.open();
	await lookAt(window, server);
	await window.press(say('app_sign_in_code'));
	await approve(server, await shownCode(window));
	await window.text(say('signin_file_make_lead').slice(0, 40));
	await desk.keep('secret-file');
	await makeFile(window, PASSPHRASE);
	await enter(window, server);
	const file = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/secrets.json');
	assert.equal((await stat(file)).mode & 0o777, 0o600);
	assert.doesNotMatch(await readFile(file, 'utf8'), /fm[a-z]_|owner-key/);

	await window.close();
	window = await desk.open();
	await window.text(say('signin_file_open_lead').slice(0, 40));
	await openFile(window, 'another passphrase');
	await window.text(say('problem_passphrase_wrong').slice(0, 30));
	await openFile(window, PASSPHRASE);
	await window.text('forge');
});

const DRAFT = ['foreman.task.draft', 'sing to the whales'];

/** A change that waits for its server, and something typed. @param {import('./webdriver.mjs').Window} window @param {string} path of a device */
async function keepUnsent(window, path) {
	const change = {
		key: crypto.randomUUID(),
		method: 'PATCH',
		path,
		body: '{"name":"anvil"}',
		about: path,
		label: { kind: 'rename-device', was: 'forge', name: 'anvil' }
	};
	await window.run(
		`const invoke = window.__TAURI_INTERNALS__.invoke;
		const [change, [name, text]] = arguments;
		(async () => {
			const { server } = await invoke('drafts');
			await invoke('keep_draft', { server, name, text });
			await invoke('queue_change', { change });
			window.foremanKept = true;
		})();`,
		change,
		DRAFT
	);
	await window.until('return window.foremanKept');
}

test('a keychain that is locked is asked again once it is open, or a sealed file takes its place and nothing is taken from it', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	let window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	const [device] = (await server.api('/api/v1/devices')).items;
	const path = `/api/v1/devices/${device.id}`;
	await server.stop();
	await keepUnsent(window, path);
	await window.close();
	await server.start();
	const kept = (await desk.services.secrets()).sort();

	await desk.lock();
	window = await desk.open();
	await window.text(say('signin_file_locked_lead').slice(0, 40));
	await desk.keep('keychain-locked');
	await desk.unlock();
	await window.pressInDialog(say('signin_file_locked_again'));
	await window.text('forge');
	await window.close();

	await desk.lock();
	window = await desk.open();
	await window.press(say('signin_file_instead_use'));
	await makeFile(window, PASSPHRASE);
	await window.text(say('app_again'));
	await enter(window, server, undefined, 'admin');
	await window.text('forge');

	// What the keychain's keys sealed waits for it, is spoken of, and goes on where it was once the keychain opens.
	await window.text(say('waiting_aside'));
	await window.go('/waiting');
	await window.text(say('waiting_aside_count', { changes: 1, drafts: 1 }));
	await desk.keep('aside');
	await desk.unlock();
	await window.press(say('waiting_aside_open'));
	await eventually(async () => (await server.api(path)).name === 'anvil');
	await window.until(
		`window.__TAURI_INTERNALS__.invoke('drafts').then(({ drafts }) => (window.foremanDrafts = drafts.join()));
		return window.foremanDrafts === arguments[0] && !document.body.textContent.includes(arguments[1])`,
		DRAFT.join(),
		say('waiting_aside')
	);
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
	await window.pressInDialog(say('signin_file_locked_again'));
	await window.text('forge');
});
