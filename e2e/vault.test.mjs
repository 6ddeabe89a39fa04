// @ts-check
// The vault: made and filled on its page, out as a file and in again, another password, locked by time and by a restart,
// and opened where something needs it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { CUT_OFF, DESKTOP, NOT_SIGNED_IN, PHONE, open, shown, signIn } from './browser.mjs';
import { clock } from './clock.mjs';
import { KEY, PASSWORD, ask } from './lab.mjs';
import { Ollama } from './ollama.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { traces } from './traces.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('./stack.mjs').Server} Server */

const NEW = 'another battery staple';
const SECOND = 'sk-of-the-lab-0011223344556677';
const THIRD = 'sk-another-fedcba9876543210-9876';
const OF_THE_FILE = 'only for this one file';
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

for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`the vault is made, filled, used, locked, opened and emptied on its page (${size})`, async (t) => {
		const time = await clock(t);
		if (!time) return;
		const base_url = await vendor(t, 'small');
		const { server } = await stack(t, { env: time.env });
		const page = await open(t, { ...shape, expectErrors: EXPECTED });
		// The page's minutes are made to pass, too.
		await page.clock.install();
		await signIn(page, server);
		await page.goto(server.url + '/settings/vault');
		const press = (/** @type {import('playwright-core').Locator} */ what) =>
			shape === PHONE ? what.tap() : what.click();

		const making = page.getByRole('region', { name: say('vault_make_title'), exact: true });
		await field(making, 'vault_password').fill(PASSWORD);
		await field(making, 'vault_password_repeat').fill(PASSWORD);
		await field(making, 'vault_make_understood').check();
		await press(button(making, 'vault_make'));
		await shown(page, say('vault_state_open')).waitFor();

		await page.getByText(say('vault_keys_none')).waitFor();
		await press(button(page, 'vault_key_add'));
		const adding = dialog(page, 'vault_key_add');
		await press(button(adding, 'vault_key_add_submit'));
		await adding.getByText(say('settings_token_name_missing')).waitFor();
		await adding.getByText(say('vault_key_value_missing')).waitFor();
		await field(adding, 'vault_key_provider').selectOption('anthropic');
		await field(adding, 'vault_key_name').fill('team');
		await field(adding, 'vault_key_value').fill(KEY);
		assert.ok((await traces(page)).includes(KEY), 'as long as it is typed, it is there');
		await press(button(adding, 'vault_key_add_submit'));
		await adding.waitFor({ state: 'detached' });
		const key = (/** @type {string} */ name) => page.getByRole('listitem').filter({ hasText: name });
		await key('team').getByText('…cdef').waitFor();
		await key('team').getByText('Anthropic').waitFor();
		await key('team').getByText(say('vault_key_unused')).waitFor();
		assert.equal((await traces(page)).includes(KEY), false, 'once it is kept, the page has nothing of it');

		// A provider is tried with its key at once, and an hour later a client has it used again. The page comes to know
		// within a minute, without being loaded anew.
		await page.evaluate(() => document.documentElement.setAttribute('data-same', ''));
		const json = { kind: 'openai_compatible', name: 'lab', base_url, key: SECOND };
		await server.api('/api/v1/providers', { json });
		const since = async () => {
			const { items } = await server.api('/api/v1/vault/keys');
			const { last_used_at: at } = items.find((/** @type {any} */ one) => one.name === 'lab');
			return at && new Date(at).toISOString();
		};
		const before = await eventually(since);
		const used = key('lab').getByText(say('vault_key_used')).getByRole('time');
		await key('lab').waitFor();
		await page.clock.fastForward('01:00');
		await eventually(async () => (await used.getAttribute('datetime')) === before);
		const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
		time.set('+1h');
		assert.equal((await ask(server, secret)).status, 200);
		await eventually(async () => (await since()) !== before);
		await page.clock.fastForward('01:00');
		const after = await since();
		await eventually(async () => (await used.getAttribute('datetime')) === after);
		await key('team').getByText(say('vault_key_unused')).waitFor();
		assert.equal(await page.locator('html[data-same]').count(), 1, 'it is the same page');

		// Locked, a key cannot be added: it is opened there and then, and adding goes on by itself.
		await press(button(page, 'vault_lock'));
		await shown(page, say('vault_state_locked')).waitFor();
		await press(button(page, 'vault_key_add'));
		await field(adding, 'vault_key_name').fill('team');
		await field(adding, 'vault_key_value').fill(THIRD);
		await press(button(adding, 'vault_key_add_submit'));
		const gate = dialog(page, 'vault_gate_unlock');
		await field(gate, 'vault_password').fill('not the password');
		await press(button(gate, 'vault_unlock'));
		await gate.getByText(say('vault_password_wrong')).waitFor();
		await field(gate, 'vault_password').fill(PASSWORD);
		await press(button(gate, 'vault_unlock'));
		await gate.waitFor({ state: 'detached' });
		await adding.getByText(say('vault_key_taken')).waitFor();
		await field(adding, 'vault_key_name').fill('private');
		await press(button(adding, 'vault_key_add_submit'));
		await adding.waitFor({ state: 'detached' });
		await key('private').getByText('…9876').waitFor();

		// And on its own page.
		await press(button(page, 'vault_lock'));
		const standing = page.getByRole('region', { name: say('vault_title'), exact: true });
		await press(button(standing, 'vault_unlock'));
		await standing.getByText(say('vault_password_missing')).waitFor();
		await field(standing, 'vault_password').fill('not the password');
		await press(button(standing, 'vault_unlock'));
		await standing.getByText(say('vault_password_wrong')).waitFor();
		await shown(page, say('vault_state_locked')).waitFor();
		await field(standing, 'vault_password').fill(PASSWORD);
		await press(button(standing, 'vault_unlock'));
		await shown(page, say('vault_state_open')).waitFor();

		// Away with one of them, in two steps.
		const names = async () =>
			(await server.api('/api/v1/vault/keys')).items.map((/** @type {any} */ one) => one.name);
		const remove = page.getByRole('button', { name: say('vault_key_remove_named', { name: 'private' }) });
		await press(remove);
		const sure = dialog(page, 'vault_key_remove_title', { name: 'private' });
		await sure.getByText(say('vault_key_remove_text')).waitFor();
		await press(button(sure, 'cancel'));
		await sure.waitFor({ state: 'detached' });
		assert.deepEqual(await names(), ['team', 'lab', 'private'], 'the first step removes nothing');
		await press(remove);
		await press(button(sure, 'vault_key_remove'));
		await key('private').waitFor({ state: 'detached' });
		assert.deepEqual(await names(), ['team', 'lab']);
		const left = await traces(page);
		for (const one of [KEY, SECOND, THIRD, PASSWORD]) assert.equal(left.includes(one), false);
	});
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
	await back.getByText(say('vault_imported', { count: 1 }), { exact: true }).waitFor();
	assert.equal(await back.getByText(say('vault_import_kept', { count: 0 })).count(), 0);
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
	await again.getByText(say('vault_imported', { count: 0 }), { exact: true }).waitFor();
	await again.getByText(say('vault_import_kept', { count: 1 })).waitFor();
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
