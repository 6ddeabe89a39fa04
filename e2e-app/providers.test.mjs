// @ts-check
// Signing in to a provider in the app's own window, against a real OAuth server: the token is in the keyring only, and
// signing out takes it back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';
import { oauthServer, press, signInToProvider } from './provider.mjs';

test('a provider is added and signed in to by a code; its token is in the keyring only, and signing out removes it', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const oauth = await oauthServer(t);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/sign-ins');
	await window.text(say('signin_lead').slice(0, 40));
	await desk.keep('sign-ins');
	await signInToProvider(window, oauth, () => desk.keep('sign-in-code'));
	await window.text(say('signin_place_device'));
	await desk.keep('signed-in');
	// Neither the page nor a file has anything of it; what is configured is no secret.
	assert.deepEqual(await desk.holding(/"(access|refresh)":"/), []);
	assert.equal(await window.run(`return JSON.stringify(localStorage).match(/access|refresh_token/)`), null);
	await press(window, say('signin_out'));
	await window.until(
		`const button = [...document.querySelectorAll('[role=dialog] button')].find((it) => it.textContent.trim() === arguments[0]); button?.click(); return !!button;`,
		say('signin_out')
	);
	await window.text(say('signin_state_out'));
});
