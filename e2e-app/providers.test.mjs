// @ts-check
// Signing in to a provider in the app's own window, against a real OAuth server: the token is in the keyring only, and
// signing out takes it back.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEnd, Program, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

/** @param {import('node:test').TestContext} t */
async function oauthServer(t) {
	const program = new Program(process.execPath, ['e2e/oauth/server.mjs'], { input: null });
	atEnd(t, () => program.stop());
	const [, issuer] = await program.line(/^listening on (\S+)/);
	return {
		issuer,
		/** A person types the code in and allows. @param {string} code */
		async allow(code) {
			program.child.stdin.write(`code ${code}\n`);
			await program.line(/^decided/);
		}
	};
}

test('a provider is added and signed in to by a code; its token is in the keyring only, and signing out removes it', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const oauth = await oauthServer(t);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/sign-ins');
	await window.text(say('signin_lead').slice(0, 40));
	await desk.keep('sign-ins');
	await press(window, say('signin_add'));
	await window.fill(say('signin_name'), 'Gateway');
	await window.fill(say('signin_client'), 'foreman-app');
	await window.fill(say('signin_issuer'), oauth.issuer);
	await window.until(
		`const choice = [...document.querySelectorAll('[role=dialog] label')].find((it) => it.textContent.trim() === arguments[0]); choice?.click(); return !!choice;`,
		say('signin_flow_device')
	);
	await window.press(say('signin_save'));
	await press(window, say('signin_in', { name: 'Gateway' }));
	const code = await window.until(
		`return document.querySelector('p.code[aria-label="' + arguments[0] + '"]')?.textContent`,
		say('signin_code')
	);
	await desk.keep('sign-in-code');
	await oauth.allow(code);
	await window.text(say('signin_place_device'));
	await desk.keep('signed-in');
	// Neither the page nor a file has anything of it; what is configured is no secret.
	assert.deepEqual(await holding(desk.path, /"(access|refresh)":"/), []);
	assert.equal(await window.run(`return JSON.stringify(localStorage).match(/access|refresh_token/)`), null);
	await press(window, say('signin_out'));
	await window.until(
		`const button = [...document.querySelectorAll('[role=dialog] button')].find((it) => it.textContent.trim() === arguments[0]); button?.click(); return !!button;`,
		say('signin_out')
	);
	await window.text(say('signin_state_out'));
});

/** Presses what may lie below the edge, where the window's foot would be over it. @param {import('./webdriver.mjs').Window} window @param {string} name */
async function press(window, name) {
	await window.until(
		`const it = [...document.querySelectorAll('main button')].find((one) => one.textContent.trim().startsWith(arguments[0])); it?.scrollIntoView({ block: 'center' }); return !!it;`,
		name
	);
	await window.press(name);
}

/** The files below a folder whose text matches. @param {string} folder @param {RegExp} pattern */
async function holding(folder, pattern) {
	const entries = await readdir(folder, { recursive: true, withFileTypes: true });
	const found = [];
	for (const entry of entries.filter((one) => one.isFile())) {
		const path = join(entry.parentPath, entry.name);
		if (pattern.test(await readFile(path, 'latin1').catch(() => ''))) found.push(path);
	}
	return found;
}
