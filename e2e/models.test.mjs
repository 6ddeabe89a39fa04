// @ts-check
// Models: the vault opened where it is needed, a provider tried at once, a key that clients use, and what it cost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, settled, shown, signIn, violations } from './browser.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { say } from './words.mjs';

const PASSWORD = 'correct horse battery staple';
const KEY = 'sk-upstream-0123456789abcdef';
/** What Chromium reports of answers that the dashboard has words for. */
const EXPECTED = /status of (401|403|409|423)/;

/** @param {import('./stack.mjs').Server} server @param {string} base */
async function withProvider(server, base) {
	await server.api('/api/v1/vault', { json: { password: PASSWORD } });
	const json = { kind: 'openai_compatible', name: 'lab', base_url: base, key: KEY };
	return server.api('/api/v1/providers', { json });
}

/** @param {import('playwright-core').Page} page @param {string} key @param {Record<string, any>} [values] */
const dialog = (page, key, values) => page.getByRole('dialog', { name: say(key, values), exact: true });

test('adding a provider makes the vault on the way, and says at once whether the key works', async (t) => {
	const base = await vendor(t, 'small', 'large');
	const { server } = await stack(t);
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/models');
	await page
		.getByRole('button', { name: say('provider_add') })
		.first()
		.click();
	const form = dialog(page, 'provider_add');
	await form.getByLabel(say('provider_kind'), { exact: true }).selectOption('openai_compatible');
	await form.getByLabel(say('provider_address'), { exact: true }).fill(base);
	await form.getByLabel(say('provider_key_maybe'), { exact: true }).fill(KEY);
	await form.getByLabel(say('provider_name'), { exact: true }).fill('lab');
	await form.getByRole('button', { name: say('provider_add_submit') }).click();

	// There is no vault yet: it is made here, and what was asked for goes on by itself.
	const gate = dialog(page, 'vault_gate_make');
	await gate.getByLabel(say('vault_password'), { exact: true }).fill(PASSWORD);
	await gate.getByLabel(say('vault_password_repeat'), { exact: true }).fill(PASSWORD);
	await gate.getByRole('button', { name: say('vault_make'), exact: true }).click();
	await gate.getByText(say('vault_make_understood_missing')).waitFor();
	await gate.getByLabel(say('vault_make_understood'), { exact: true }).check();
	await gate.getByRole('button', { name: say('vault_make'), exact: true }).click();

	const added = dialog(page, 'provider_added_title', { name: 'lab' });
	await added.getByText(/valid, 2 models, \d+/).waitFor();
	await added.getByRole('button', { name: say('provider_make_default') }).click();
	await added.waitFor({ state: 'hidden' });
	const card = page.getByRole('article', { name: /^lab/ });
	await card.getByText(say('provider_default'), { exact: true }).waitFor();
	await card.getByText(say('provider_state_up'), { exact: true }).waitFor();

	// Locked by somebody else: said where it matters, and opened there. A wrong password opens nothing.
	await server.api('/api/v1/vault/lock', { method: 'POST' });
	await page.getByText(say('providers_locked_lead', { names: 'lab' })).waitFor();
	await page.getByRole('button', { name: say('vault_unlock') }).click();
	const unlock = dialog(page, 'vault_gate_unlock');
	await unlock.getByLabel(say('vault_password'), { exact: true }).fill('something else');
	await unlock.getByRole('button', { name: say('vault_unlock'), exact: true }).click();
	await unlock.getByText(say('vault_password_wrong')).waitFor();
	await unlock.getByLabel(say('vault_password'), { exact: true }).fill(PASSWORD);
	await unlock.getByRole('button', { name: say('vault_unlock'), exact: true }).click();
	await unlock.waitFor({ state: 'hidden' });
	await page.getByText(say('providers_locked_lead', { names: 'lab' })).waitFor({ state: 'hidden' });

	await page.goto(server.url + '/settings/vault');
	await shown(page, say('vault_state_open')).waitFor();
	const key = page.getByRole('listitem').filter({ hasText: 'lab' });
	await key.getByText('…cdef').waitFor();
	assert.equal((await page.content()).includes(KEY), false, 'a key is never shown again');
});

test('a key for clients is made, used, counted and revoked', async (t) => {
	const base = await vendor(t, 'small');
	const { server } = await stack(t);
	await withProvider(server, base);
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/models/keys?new');
	const form = dialog(page, 'key_new');
	await form.getByLabel(say('key_name'), { exact: true }).fill('laptop');
	await form.getByLabel(say('key_model_add'), { exact: true }).fill('lab/*');
	await form.getByRole('button', { name: say('key_model_add_short'), exact: true }).click();
	await form.getByRole('button', { name: say('key_create') }).click();
	const made = dialog(page, 'key_secret', { name: 'laptop' });
	const secret = (await made.getByRole('textbox', { name: say('key_copy'), exact: true }).innerText()).trim();
	await made.getByText(`OPENAI_BASE_URL=${server.url}/v1`).waitFor();

	const ask = () =>
		fetch(`${server.url}/v1/chat/completions`, {
			method: 'POST',
			headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
			body: JSON.stringify({ model: 'lab/small', messages: [{ role: 'user', content: 'Hello' }] })
		});
	const answered = await ask();
	assert.equal(answered.status, 200, await answered.clone().text());
	assert.equal(answered.headers.get('x-foreman-model'), 'small');
	await made.getByRole('button', { name: say('settings_token_secret_done') }).click();

	await eventually(async () => (await server.api('/api/v1/usage')).total.requests === 1);
	await page.goto(server.url + '/models/usage');
	await page.getByRole('row', { name: /lab\/small/ }).waitFor();
	await page.getByLabel(say('usage_by_label'), { exact: true }).selectOption('key');
	await page.getByRole('row', { name: /laptop/ }).waitFor();
	assert.equal(new URL(page.url()).searchParams.get('by'), 'key', 'the address says what is shown');
	const csv = await page.request.get(
		server.url + (await page.getByRole('link', { name: say('usage_csv') }).getAttribute('href'))
	);
	assert.match(await csv.text(), /small/);

	await page.goto(server.url + '/models/keys');
	await page.getByRole('button', { name: say('key_revoke_named', { name: 'laptop' }) }).click();
	// What can still be undone is sent when the page is left.
	await page
		.getByRole('link', { name: say('models_providers'), exact: true })
		.first()
		.click();
	await eventually(async () => (await ask()).status === 401);
});

test('the order of models is changed by keys, and tried', async (t) => {
	const base = await vendor(t, 'small', 'large');
	const { server } = await stack(t);
	await withProvider(server, base);
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/models/routing');
	await page.getByRole('button', { name: say('routing_add'), exact: true }).click();
	const form = dialog(page, 'routing_add');
	await form.getByLabel(say('routing_name'), { exact: true }).fill('mine');
	await form.getByLabel(say('routing_order'), { exact: true }).selectOption('as_listed');
	for (const model of ['lab/small', 'lab/large']) {
		await form.getByRole('combobox', { name: say('routing_model_add'), exact: true }).fill(model);
		await page.keyboard.press('Enter');
	}
	const entries = form.getByRole('listitem');
	await entries.nth(1).focus();
	await page.keyboard.press('Alt+ArrowUp');
	await entries.first().getByText('lab/large').waitFor();
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await form.waitFor({ state: 'hidden' });
	const { profiles } = await server.api('/api/v1/routing');
	assert.deepEqual(profiles.find((/** @type {any} */ profile) => profile.name === 'auto:mine').models, [
		'lab/large',
		'lab/small'
	]);

	const tried = page.getByRole('region', { name: say('try_title') });
	await tried.getByLabel(say('try_model'), { exact: true }).selectOption('auto:mine');
	await tried.getByRole('button', { name: say('try_submit') }).click();
	await tried.getByText(/^large from lab: /).waitFor();
	await tried.getByText(/^small from lab/).waitFor();
});

test('nothing is out of reach on pages with models, both themes, both sizes', async (t) => {
	const base = await vendor(t, 'small', 'large', 'embed');
	const { server } = await stack(t);
	await withProvider(server, base);
	const { secret } = await server.api('/api/v1/model-keys', {
		json: { name: 'laptop', cap_micros: 5_000_000, cap_period: 'day' }
	});
	await fetch(`${server.url}/v1/chat/completions`, {
		method: 'POST',
		headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
		body: JSON.stringify({ model: 'lab/small', messages: [{ role: 'user', content: 'Hello' }] })
	});
	await eventually(async () => (await server.api('/api/v1/usage')).total.requests === 1);
	const pages = [
		'/models',
		'/models/catalogue',
		'/models/routing',
		'/models/keys',
		'/models/usage',
		'/models/usage?range=30&by=day',
		'/settings/vault'
	];
	for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
		for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
			const page = await open(t, { ...shape, colorScheme });
			await signIn(page, server);
			for (const path of pages) {
				await page.goto(server.url + path);
				await settled(page);
				assert.deepEqual(await violations(page), [], `${size}, ${colorScheme}: ${path}`);
				const tooWide = await page.evaluate(
					() => document.documentElement.scrollWidth - document.documentElement.clientWidth
				);
				assert.ok(tooWide <= 0, `${size}: ${path} is ${tooWide} px too wide`);
			}
		}
	}
});
