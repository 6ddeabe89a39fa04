// @ts-check
// Signing in to a provider in the app's own window, against a real OAuth server: the token is in the keyring, and in the
// server's vault where the person wants that, and signing out takes it back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack, vendor } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';
import { deskWithBrowser } from './noted-browser.mjs';
import { addProvider, choose, oauthServer, press, signInToProvider } from './provider.mjs';

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
	await window.pressInDialog(say('signin_out'));
	await window.text(say('signin_state_out'));
});

for (const inVault of [false, true]) {
	test(`the browser comes back from a provider by its link, once, and the token is ${inVault ? 'in the server’s vault too' : 'on this device only'}`, async (t) => {
		const { server } = await stack(t, { device: 'forge' });
		await server.api('/api/v1/vault', { json: { password: 'correct horse battery' } });
		const [oauth, api] = [await oauthServer(t), await vendor(t, 'gpt-4o')];
		const { desk, opened } = await deskWithBrowser(t);
		const window = await desk.open();
		await enter(window, server, undefined, 'admin');
		await window.go('/settings/sign-ins');
		await addProvider(window, oauth, 'signin_flow_browser', api);
		await window.text(say('signin_in', { name: 'Gateway' }));
		await choose(window, 'main', say(inVault ? 'signin_keep_vault' : 'signin_keep_device'));
		await press(window, say('signin_in', { name: 'Gateway' }));
		const page = new URL(await opened(window));
		assert.equal(page.origin, oauth.issuer);
		assert.equal(page.searchParams.get('redirect_uri'), 'foreman://provider-signed-in');
		assert.equal(page.searchParams.get('code_challenge_method'), 'S256');
		await desk.keep('provider-browser');

		// What somebody else sends meanwhile belongs to no attempt.
		await desk.launch(['foreman://provider-signed-in?code=theirs&state=theirs']).ended;
		await window.text(say('signin_browser_again'));
		const link = await oauth.open(page.href);
		assert.match(link, /^foreman:\/\/provider-signed-in\?/);
		await desk.launch([link]).ended;
		await window.text(say('signin_state_in'));
		const host = new URL(server.url).host;
		await window.text(inVault ? say('signin_place_vault', { server: host }) : say('signin_place_device'));
		await desk.keep(`provider-${inVault ? 'vault' : 'device'}`);
		const providers = async () => (await server.api('/api/v1/providers')).items;
		assert.deepEqual(
			(await providers()).map((/** @type {any} */ one) => [one.auth, one.base_url]),
			inVault ? [['oauth', api]] : []
		);
		assert.deepEqual(await desk.holding(/"(access|refresh)":"/), []);

		// The other choice can be made later; a link that was used is nothing.
		await desk.launch([link]).ended;
		await press(window, say(inVault ? 'signin_take_back' : 'signin_hand_over'));
		await window.text(inVault ? say('signin_place_device') : say('signin_place_vault', { server: host }));
		assert.equal((await providers()).length, inVault ? 0 : 1);
	});
}
