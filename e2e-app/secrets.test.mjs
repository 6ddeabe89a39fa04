// @ts-check
// Nothing secret is anywhere but in the keychain: not in what the app writes, says or leaves behind when it dies, and not
// in its window. Looked for by the real values.
import assert from 'node:assert/strict';
import { access, chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { APP, Desk } from './desk.mjs';
import { approve, enter, lookAt, shownCode } from './enter.mjs';
import { makeFile, openFile } from './passphrase.mjs';
import { oauthServer, signInToProvider } from './provider.mjs';

const PASSPHRASE = 'a passphrase of the test';
const WRONG_PASSPHRASE = 'not the passphrase of the test';

/** The app with what it says on standard error kept in a file, and all of that said. @param {Desk} desk */
async function heard(desk) {
	const [program, log] = [join(desk.path, 'foreman-app.sh'), join(desk.path, 'foreman-app.log')];
	await writeFile(program, `#!/bin/sh\nRUST_BACKTRACE=full exec ${APP} "$@" 2>>${log}\n`);
	await chmod(program, 0o700);
	return { program, log };
}

/** As when it fails so badly that the system ends it. @param {Desk} desk */
async function abort(desk) {
	for (const pid of await desk.pids()) process.kill(pid, 'SIGABRT');
	await eventually(async () => (await desk.pids()).length === 0);
	await desk.window?.close().catch(() => undefined);
}

/** One of these, as it is and as it stands in an address. @param {string[]} values */
const anyOf = (values) =>
	new RegExp(
		[...new Set(values.flatMap((value) => [value, encodeURIComponent(value)]))].map(escaped).join('|')
	);
/** @param {string} text */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** What a page has and was led to. @param {import('./webdriver.mjs').Window} window */
const ofPage = (window) =>
	window.run(`return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href, document.cookie,
		performance.getEntries().map((entry) => entry.name), document.documentElement.outerHTML])`);

/** Databases of the page, of which there are none. @param {import('./webdriver.mjs').Window} window */
const databases = (window) =>
	window.until(
		`indexedDB.databases().then((all) => (window.foremanDatabases = [all.map((one) => one.name)]));
		return window.foremanDatabases`
	);

test('no bearer, key or provider’s token is in a file, a log, an address or the window, also of an app that was aborted', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const oauth = await oauthServer(t);
	const desk = await Desk.of(t, { services: true });
	const { program, log } = await heard(desk);
	let window = await desk.open([], program);
	await enter(window, server);
	await window.text('forge');
	// The keys by which devices are reached are made when they are first needed.
	await window.run(
		`window.__TAURI_INTERNALS__.invoke('owner_key').then((key) => (window.foremanOwner = key))`
	);
	const owner = await window.until('return window.foremanOwner');
	await window.go('/settings/sign-ins');
	await signInToProvider(window, oauth);
	await window.text(say('signin_place_device'));

	const kept = await desk.services.secrets();
	assert.ok(
		kept.some((secret) => /^fm[a-z]_/.test(secret)),
		'the bearer'
	);
	assert.ok(
		kept.some((secret) => secret.includes('refresh')),
		'a token of the provider'
	);
	const values = kept.flatMap((secret) => secret.match(/[\w.~+/=-]{24,}/g) ?? []);
	assert.ok(values.length >= 5, `${values.length} secrets`);
	assert.ok(!values.includes(owner), 'what devices are told of the owner is public');
	const pattern = anyOf(values);
	assert.doesNotMatch(await ofPage(window), pattern);
	assert.deepEqual(await databases(window), [[]]);
	await server.stop('SIGKILL');
	await window.go('/devices');
	await window.text('forge');
	await abort(desk);
	assert.deepEqual(await desk.holding(pattern), []);

	window = await desk.open([], program);
	await window.text('forge');
	await window.close();
	await access(log);
	assert.deepEqual(await desk.holding(pattern), []);
});

test('a passphrase that was typed is in no file, log or address, nor is a wrong one', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { keyring: false });
	const { program, log } = await heard(desk);
	let window = await desk.open([], program);
	await lookAt(window, server);
	await window.press(say('app_sign_in_code'));
	await approve(server, await shownCode(window));
	await makeFile(window, PASSPHRASE);
	await enter(window, server);
	await window.text('forge');
	await abort(desk);

	window = await desk.open([], program);
	await openFile(window, WRONG_PASSPHRASE);
	await window.text(say('problem_passphrase_wrong').slice(0, 30));
	await openFile(window, PASSPHRASE);
	await window.text('forge');
	const pattern = anyOf([PASSPHRASE, WRONG_PASSPHRASE]);
	assert.doesNotMatch(await ofPage(window), pattern);
	await abort(desk);
	await access(log);
	assert.deepEqual(await desk.holding(new RegExp(`${pattern.source}|fm[a-z]_[\\w-]{40,}`)), []);
});
