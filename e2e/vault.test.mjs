// @ts-check
// The vault: out as a file and in again, another password, locked by time and by a restart, and opened where an answer
// needs it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { CUT_OFF, NOT_SIGNED_IN, open, shown, signIn } from './browser.mjs';
import { Ollama } from './ollama.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('./stack.mjs').Server} Server */

const PASSWORD = 'correct horse battery staple';
const NEW = 'another battery staple';
const OF_THE_FILE = 'only for this one file';
const KEY = 'sk-upstream-0123456789abcdef';
/** What Chromium reports of answers that the dashboard has words for: wrong passwords, a locked vault. */
const EXPECTED = /status of (401|403|409|422|423|429)/;
const CUT_OFF_OR_EXPECTED = new RegExp(`${CUT_OFF.source}|${EXPECTED.source}`);

/** @param {Page} page @param {string} key @param {Record<string, any>} [values] */
const dialog = (page, key, values) => page.getByRole('dialog', { name: say(key, values), exact: true });
/** @param {import('playwright-core').Locator} within @param {string} key */
const field = (within, key) => within.getByLabel(say(key), { exact: true });
/** @param {import('playwright-core').Locator | Page} within @param {string} key */
const button = (within, key) => within.getByRole('button', { name: say(key), exact: true });

/** The dialog behind one of the vault's occasional doings. @param {Page} page @param {string} title @param {string} action */
async function upkeep(page, title, action) {
	const row = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: say(title) }) });
	await button(row, action).click();
	return dialog(page, title);
}

/** A vault with one key in it. @param {Server} server */
async function withVault(server) {
	await server.api('/api/v1/vault', { json: { password: PASSWORD } });
	await server.api('/api/v1/vault/keys', { json: { provider: 'anthropic', name: 'team', key: KEY } });
}

/** Opens the vault in its gate or on its page. @param {import('playwright-core').Locator} form @param {string} password */
async function unlock(form, password) {
	await field(form, 'vault_password').fill(password);
	await button(form, 'vault_unlock').click();
}

test('the keys leave as an encrypted file and come back in another vault', async (t) => {
	const { server } = await stack(t);
	// Before the page, for what was started last ends first.
	const { server: other } = await stack(t);
	await withVault(server);
	const page = await open(t, { expectErrors: EXPECTED, acceptDownloads: true });
	await signIn(page, server);
	await page.goto(server.url + '/settings/vault');
	const out = await upkeep(page, 'vault_export', 'vault_export_action');
	await field(out, 'vault_password').fill('not the password');
	await field(out, 'vault_file_password').fill(OF_THE_FILE);
	await field(out, 'vault_file_password_repeat').fill(OF_THE_FILE);
	await button(out, 'vault_export_submit').click();
	await out.getByText(say('vault_password_wrong')).waitFor();
	await field(out, 'vault_password').fill(PASSWORD);
	const saving = page.waitForEvent('download');
	await button(out, 'vault_export_submit').click();
	const file = await saving;
	await out.waitFor({ state: 'hidden' });
	assert.match(file.suggestedFilename(), /^foreman-vault-\d{4}-\d\d-\d\d\.json$/);
	const content = await readFile(await file.path());
	assert.equal(content.includes(KEY), false, 'the file shows no key');
	assert.equal(content.includes('team'), false, 'nor what the keys are called');

	// Another server, with a vault and a password of its own.
	await other.api('/api/v1/vault', { json: { password: NEW } });
	await page.goto(await other.loginLink());
	await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
	await page.goto(other.url + '/settings/vault');
	await page.getByText(say('vault_keys_none')).waitFor();
	const back = await upkeep(page, 'vault_import', 'vault_import_action');
	await button(back, 'vault_import_action').click();
	await back.getByText(say('vault_import_file_missing')).waitFor();
	const input = back.getByLabel(say('vault_import_file'), { exact: true });
	await input.setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{}') });
	await back.getByText(say('vault_import_file_unreadable')).waitFor();
	await input.setInputFiles({ name: 'v.json', mimeType: 'application/json', buffer: content });
	await field(back, 'vault_file_password').fill(PASSWORD);
	await button(back, 'vault_import_action').click();
	await back.getByText(say('vault_file_password_wrong')).waitFor();
	await field(back, 'vault_file_password').fill(OF_THE_FILE);
	await button(back, 'vault_import_action').click();
	await back.getByText(say('vault_imported', { added: 1, kept: 0 })).waitFor();
	await back
		.getByRole('button', { name: say('close'), exact: true })
		.last()
		.click();
	await page.getByRole('listitem').filter({ hasText: 'team' }).getByText('…cdef').waitFor();

	// In again, nothing is taken twice, and it says what was left out.
	const again = await upkeep(page, 'vault_import', 'vault_import_action');
	await again
		.getByLabel(say('vault_import_file'), { exact: true })
		.setInputFiles({ name: 'v.json', mimeType: 'application/json', buffer: content });
	await field(again, 'vault_file_password').fill(OF_THE_FILE);
	await button(again, 'vault_import_action').click();
	await again.getByText(say('vault_imported', { added: 0, kept: 1 })).waitFor();
	await again.getByRole('listitem').filter({ hasText: 'team' }).waitFor();
});

test('another master password counts from then on, and opens the vault after a restart', async (t) => {
	const { server } = await stack(t);
	await withVault(server);
	const page = await open(t, { expectErrors: CUT_OFF_OR_EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/settings/vault');
	const change = await upkeep(page, 'vault_rotate', 'vault_rotate_action');
	await field(change, 'vault_password_current').fill('not the password');
	await field(change, 'vault_password_new').fill(NEW);
	await field(change, 'vault_password_new_repeat').fill(NEW + '!');
	await change.getByRole('button', { name: say('vault_rotate_action'), exact: true }).click();
	await change.getByText(say('settings_password_differs')).waitFor();
	await field(change, 'vault_password_new_repeat').fill(NEW);
	await change.getByRole('button', { name: say('vault_rotate_action'), exact: true }).click();
	await change.getByText(say('vault_password_wrong')).waitFor();
	await field(change, 'vault_password_current').fill(PASSWORD);
	await change.getByRole('button', { name: say('vault_rotate_action'), exact: true }).click();
	await change.waitFor({ state: 'hidden' });
	await shown(page, say('vault_rotated')).waitFor();

	// The page notices by itself that the server was away, and that the vault is locked now.
	await server.stop('SIGKILL');
	await server.start();
	await shown(page, say('vault_state_locked')).waitFor();
	const standing = page.getByRole('region', { name: say('vault_title'), exact: true });
	await unlock(standing, PASSWORD);
	await standing.getByText(say('vault_password_wrong')).waitFor();
	await unlock(standing, NEW);
	await shown(page, say('vault_state_open')).waitFor();
	await page.getByRole('listitem').filter({ hasText: 'team' }).getByText('…cdef').waitFor();
});

test('unused it locks by itself, and the page says so', async (t) => {
	const { server } = await stack(t, { env: { FOREMAN_VAULT_LOCK_AFTER_S: '6' } });
	await withVault(server);
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/settings/vault');
	await shown(page, say('vault_state_locked')).waitFor();
	// A key is listed though nobody can read it.
	await page.getByRole('listitem').filter({ hasText: 'team' }).getByText('…cdef').waitFor();
});

test('an answer that needs the locked vault is asked for again once it is open', async (t) => {
	const model = await new Ollama(['talker']).start(t);
	await model.says('You asked: {question}');
	const { server } = await stack(t);
	await server.api('/api/v1/vault', { json: { password: PASSWORD } });
	await server.api('/api/v1/providers', {
		json: { kind: 'openai_compatible', name: 'lab', base_url: `http://${model.host}/v1`, key: KEY }
	});
	await eventually(async () => (await server.api('/api/v1/models')).items.length > 0);
	const page = await open(t, { expectErrors: CUT_OFF_OR_EXPECTED });
	await signIn(page, server);
	await server.stop();
	await server.start();
	await page.goto(server.url + '/chat/new');
	await page.getByRole('textbox', { name: say('chat_question') }).fill('are you there?');
	await button(page, 'chat_send').click();
	const answer = page.getByRole('article', { name: say('chat_answer') });
	await answer.getByText(say('chat_failed_locked')).waitFor();
	await button(answer, 'chat_open_vault').click();
	// Thought better of: the question stays where it is.
	const gate = dialog(page, 'vault_gate_unlock');
	await button(gate, 'cancel').click();
	await gate.waitFor({ state: 'hidden' });
	await answer.getByText(say('chat_failed_locked')).waitFor();
	await button(answer, 'chat_open_vault').click();
	await unlock(gate, PASSWORD);
	await gate.waitFor({ state: 'hidden' });
	await answer.getByText('You asked: are you there?').waitFor();
	assert.deepEqual(
		(await model.asked()).map((asked) => asked.messages.map((/** @type {any} */ one) => one.content)),
		[['are you there?']],
		'it was asked once'
	);
});

test('who may only look sees how the vault stands, and no control that would fail', async (t) => {
	const { server } = await stack(t);
	await withVault(server);
	const viewer = await server.host('token', 'create', '--name', 'viewer', '--role', 'viewer');
	const page = await open(t, {
		expectErrors: NOT_SIGNED_IN,
		extraHTTPHeaders: { authorization: `Bearer ${viewer}` }
	});
	await page.goto(server.url + '/settings/vault');
	await shown(page, say('vault_state_open')).waitFor();
	const main = page.getByRole('main');
	await main.getByRole('heading', { name: say('vault_title'), exact: true }).waitFor();
	for (const key of [
		'vault_lock',
		'vault_key_add',
		'vault_rotate_action',
		'vault_export_action',
		'vault_import_action'
	])
		assert.equal(await button(main, key).count(), 0, key);
	await server.api('/api/v1/vault/lock', { method: 'POST' });
	await main.getByText(say('vault_unlock_admin')).waitFor();
	assert.equal(await button(main, 'vault_unlock').count(), 0);
});
