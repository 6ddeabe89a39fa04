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

/** A desk whose keychain sealed a change and a draft, unsent, before it was locked. @param {import('node:test').TestContext} t */
async function lockedWithUnsent(t) {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
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
	return { server, desk, path, kept };
}

/**
 * A file takes the place of the locked keychain, and what that one sealed waits for it and is spoken of.
 * @param {Desk} desk @param {import('../e2e/stack.mjs').Server} server
 */
async function asideBehindFile(desk, server) {
	const window = await desk.open();
	await window.press(say('signin_file_instead_use'));
	await makeFile(window, PASSPHRASE);
	await window.text(say('app_again'));
	await enter(window, server, undefined, 'admin');
	await window.text('forge');
	await window.text(say('waiting_aside'));
	await window.go('/waiting');
	await window.text(say('waiting_aside_count', { changes: 1, drafts: 1 }));
	return window;
}

test('a keychain that is locked is asked again once it is open, or a sealed file takes its place and nothing is taken from it', async (t) => {
	const { server, desk, path, kept } = await lockedWithUnsent(t);
	let window = await desk.open();
	await window.text(say('signin_file_locked_lead').slice(0, 40));
	await desk.keep('keychain-locked');
	await desk.unlock();
	await window.pressInDialog(say('signin_file_locked_again'));
	await window.text('forge');
	await window.close();

	// It goes on where it was once the keychain opens.
	await desk.lock();
	window = await asideBehindFile(desk, server);
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

test('what a keychain sealed before a file took its place is discarded once that is confirmed, and never sent', async (t) => {
	const { server, desk, path, kept } = await lockedWithUnsent(t);
	let window = await asideBehindFile(desk, server);
	await window.press(say('waiting_discard'));
	await window.text(say('waiting_aside_discard_lead', { changes: 1, drafts: 1 }));
	await desk.keep('aside-discard');
	await window.pressInDialog(say('cancel'));
	await window.until("return !document.querySelector('[role=dialog]')");
	await window.text(say('waiting_aside_count', { changes: 1, drafts: 1 }));
	await window.press(say('waiting_discard'));
	await window.pressInDialog(say('waiting_discard'));
	await window.until('return !document.body.textContent.includes(arguments[0])', say('waiting_aside'));
	await window.close();

	// Neither the next start nor an open keychain brings it back, and of the keychain's own nothing is gone.
	await desk.unlock();
	window = await desk.open();
	await openFile(window, PASSPHRASE);
	await window.text('forge');
	const counted = await window.until(
		`window.__TAURI_INTERNALS__.invoke('aside').then((aside) => (window.foremanAside = aside)); return window.foremanAside`
	);
	assert.deepEqual(counted, { changes: 0, drafts: 0 });
	assert.equal((await server.api(path)).name, 'forge');
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
