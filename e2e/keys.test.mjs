// @ts-check
// Keys for agents and clients: shown once, limited in the form, over when their time is, and taken away.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, shown, signIn } from './browser.mjs';
import { clock } from './clock.mjs';
import { ask, priced, withProvider } from './lab.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { traces } from './traces.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

const DAY_MS = 86_400_000;
/** What Chromium reports of answers that the dashboard has words for. */
const EXPECTED = /status of (401|403)/;

/** @param {Page} page @param {string} key @param {Record<string, any>} [values] */
const dialog = (page, key, values) => page.getByRole('dialog', { name: say(key, values), exact: true });
/** @param {Page} page @param {string} name */
const row = (page, name) => page.getByRole('listitem').filter({ hasText: name });

/** What the form made, and the form away. @param {Page} page @param {string} name */
async function taken(page, name) {
	const made = dialog(page, 'key_secret', { name });
	const secret = (await made.getByRole('textbox', { name: say('key_copy'), exact: true }).innerText()).trim();
	assert.match(secret, /^fm-/);
	await made.getByRole('button', { name: say('settings_token_secret_done') }).click();
	await made.waitFor({ state: 'detached' });
	return secret;
}

for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`a key says until when it is valid, for what, and is over by itself (${size})`, async (t) => {
		const time = await clock(t);
		if (!time) return;
		const base = await vendor(t, 'small', 'large');
		const { server } = await stack(t, { env: time.env });
		await withProvider(server, base);
		for (const model of ['small', 'large']) await priced(server, model);
		const page = await open(t, { ...shape, expectErrors: EXPECTED });
		await signIn(page, server);
		await page.goto(server.url + '/models/keys');
		await page.getByRole('button', { name: say('key_new'), exact: true }).click();
		const form = dialog(page, 'key_new');
		const field = (/** @type {string} */ key) => form.getByLabel(say(key), { exact: true });
		const make = form.getByRole('button', { name: say('key_create'), exact: true });
		await field('key_cap').fill('much');
		await make.click();
		await form.getByText(say('settings_token_name_missing')).waitFor();
		await form.getByText(say('model_price_wrong')).waitFor();
		await field('key_name').fill('visitor');
		await field('key_cap').fill('0,10');
		await field('key_period').selectOption('day');
		await field('key_lasts').selectOption('1');
		// A name that nobody could ask for is said at once; one is taken out again.
		await field('key_model_add').fill('Small One');
		await page.keyboard.press('Enter');
		await form.getByText(say('key_model_wrong')).waitFor();
		for (const name of ['lab/large', 'lab/small']) {
			await field('key_model_add').fill(name);
			await page.keyboard.press('Enter');
			await form.getByRole('listitem').filter({ hasText: name }).waitFor();
		}
		await form
			.getByRole('button', { name: say('routing_model_drop', { model: 'lab/large' }), exact: true })
			.click();
		await make.click();
		const secret = await taken(page, 'visitor');
		assert.equal((await traces(page)).includes(secret), false, 'a key is shown once');

		const visitor = row(page, 'visitor');
		await visitor.getByText(say('key_state_ok'), { exact: true }).waitFor();
		await visitor.getByText('lab/small', { exact: true }).waitFor();
		const period = say('key_period_day');
		await visitor.getByText(say('key_cap_of', { spent: '$0.00', cap: '$0.10', period })).waitFor();
		const [key] = (await server.api('/api/v1/model-keys')).items;
		assert.equal(key.expires_at - key.created_at, DAY_MS);
		const until = visitor.getByText(say('key_expires')).getByRole('time');
		assert.equal(await until.getAttribute('datetime'), new Date(key.expires_at).toISOString());
		assert.match(await until.innerText(), /^in \d\d h/);

		// It is for what it lists, and for as much as it says.
		const other = await ask(server, secret, 'lab/large');
		assert.equal(other.status, 404);
		assert.deepEqual(
			(await other.json()).error.details.unfit.map((/** @type {any} */ one) => [one.model, one.because]),
			[['large', 'key']]
		);
		assert.equal((await ask(server, secret)).status, 200);
		await eventually(async () => (await ask(server, secret)).status === 402);
		await visitor.getByText(say('key_state_spent'), { exact: true }).waitFor();

		// Its day is over, and so is the day of its cap. The page needs no other look for it.
		time.set('+1d');
		const refused = await ask(server, secret);
		assert.equal(refused.status, 401);
		const { error } = await refused.json();
		assert.deepEqual(
			[error.code, error.message],
			['unauthenticated', 'This key is unknown, revoked or expired. Make a new one under Models.']
		);
		await visitor.getByText(say('key_state_expired'), { exact: true }).waitFor();
		assert.equal(await visitor.getByText(say('key_expires')).count(), 0);
		const since = visitor.locator(`time[datetime="${new Date(key.expires_at).toISOString()}"]`);
		await since.filter({ hasText: /ago$|^just now$/ }).waitFor();
		await page.reload();
		await visitor.getByText(say('key_state_expired'), { exact: true }).waitFor();
	});
}

test('a key without an end is taken back, and taken away for good', async (t) => {
	const base = await vendor(t, 'small');
	const { server } = await stack(t);
	await withProvider(server, base);
	const page = await open(t, { expectErrors: EXPECTED });
	await page.clock.install();
	await signIn(page, server);
	await page.goto(server.url + '/models/keys?new');
	const form = dialog(page, 'key_new');
	await form.getByLabel(say('key_name'), { exact: true }).fill('forever');
	await form.getByLabel(say('key_project'), { exact: true }).fill('website');
	await form.getByLabel(say('key_lasts'), { exact: true }).selectOption('');
	await form.getByRole('button', { name: say('key_create'), exact: true }).click();
	const secret = await taken(page, 'forever');
	const forever = row(page, 'forever');
	await forever.getByText('website', { exact: true }).waitFor();
	await forever.getByText(say('key_models_all'), { exact: true }).waitFor();
	await forever.getByText(say('vault_key_unused')).waitFor();
	assert.equal(await forever.getByText(say('key_expires')).count(), 0);

	// That it is used is seen without another look.
	assert.equal((await ask(server, secret)).status, 200);
	await eventually(async () => (await server.api('/api/v1/model-keys')).items[0].last_used_at);
	await page.clock.fastForward('01:00');
	await forever.getByText(say('vault_key_used')).getByRole('time').waitFor();

	const revoke = page.getByRole('button', {
		name: say('key_revoke_named', { name: 'forever' }),
		exact: true
	});
	await revoke.click();
	await forever.waitFor({ state: 'detached' });
	await shown(page, say('key_revoked', { name: 'forever' })).waitFor();
	await page.getByRole('button', { name: say('undo'), exact: true }).click();
	await revoke.waitFor();
	assert.equal((await ask(server, secret)).status, 200);
	await revoke.click();
	await forever.waitFor({ state: 'detached' });
	// Its time to think better of it is over.
	await page.clock.fastForward('00:10');
	await eventually(async () => (await ask(server, secret)).status === 401);
	await page.reload();
	await forever.getByText(say('key_state_revoked'), { exact: true }).waitFor();
	assert.equal(await revoke.count(), 0);
});
