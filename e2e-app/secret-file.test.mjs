// @ts-check
// A computer without a keychain: the app asks once, keeps what it has to keep in a sealed file, and wants the passphrase
// at each start.
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
