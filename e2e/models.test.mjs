// @ts-check
// Models: the vault opened where it is needed, a provider tried at once, a key that clients use, and what it cost.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, settled, shown, signIn, violations } from './browser.mjs';
import { KEY, PASSWORD, ask, dollars, priced, withProvider } from './lab.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { say } from './words.mjs';

/** What Chromium reports of answers that the dashboard has words for. */
const EXPECTED = /status of (401|403|409|423)/;

/** Points of a canvas that are not empty. @param {HTMLElement | SVGElement} canvas */
const drawn = (canvas) => {
	const { width, height } = /** @type {HTMLCanvasElement} */ (canvas);
	const data = /** @type {HTMLCanvasElement} */ (canvas)
		.getContext('2d')
		?.getImageData(0, 0, width, height).data;
	return data?.filter((value, index) => index % 4 === 3 && value > 0).length ?? 0;
};

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

	const answered = await ask(server, secret);
	assert.equal(answered.status, 200, await answered.clone().text());
	assert.equal(answered.headers.get('x-foreman-model'), 'small');
	await made.getByRole('button', { name: say('settings_token_secret_done') }).click();

	await eventually(async () => (await server.api('/api/v1/usage')).total.requests === 1);
	await page.goto(server.url + '/models/usage');
	await page.getByRole('row', { name: /lab\/small/ }).waitFor();
	await page.getByLabel(say('usage_by_label'), { exact: true }).selectOption('key');
	await page.getByRole('row', { name: /laptop/ }).waitFor();
	// The address says what is shown.
	await page.waitForURL((url) => url.searchParams.get('by') === 'key');
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
	await eventually(async () => (await ask(server, secret)).status === 401);
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
		await form.getByRole('listitem').filter({ hasText: model }).waitFor();
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

test('what a person knows better of a model is kept, and counts from then on', async (t) => {
	const base = await vendor(t, 'small', 'large');
	const { server } = await stack(t);
	await withProvider(server, base);
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/models/catalogue');
	const row = page.getByRole('listitem').filter({ hasText: 'lab/small' });
	await row.getByText(say('model_context_unknown')).waitFor();
	await row.getByText(say('model_price_unknown')).waitFor();
	const edit = row.getByRole('button', { name: say('model_edit_named', { model: 'small' }), exact: true });
	await edit.click();
	const form = page.getByRole('dialog', { name: 'small', exact: true });
	const field = (/** @type {string} */ key) => form.getByLabel(say(key), { exact: true });
	await field('model_context_label').fill('a lot');
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await form.getByText(say('model_tokens_wrong')).waitFor();
	await field('model_context_label').fill('64k');
	// A cent a token, so that twelve of them can be seen.
	for (const key of ['model_price_input', 'model_price_output', 'model_price_cached'])
		await field(key).fill('10000');
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await form.waitFor({ state: 'hidden' });
	await row.getByText(say('model_context', { tokens: '64k' })).waitFor();
	await row.getByText(say('model_price', { input: '$10,000.00', output: '$10,000.00' })).waitFor();

	// It is found by it, and passed over where more is needed.
	await page.getByLabel(say('models_filter_context'), { exact: true }).selectOption({ index: 1 });
	await page.getByText(say('models_shown', { shown: 1, all: 2 })).waitFor();
	const { routes, unfit } = await server.api('/api/v1/routing/explain', {
		json: { model: 'auto', input_tokens: 100_000 }
	});
	const named = (/** @type {any[]} */ all) =>
		all.map(({ model, because }) => [model, because].flat().join(' '));
	assert.deepEqual([named(routes).length, named(unfit)], [1, ['small context']]);

	// Asked, it costs what was entered; and the page says so.
	const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
	const { usage } = await (await ask(server, secret)).json();
	const cents = usage.prompt_tokens + usage.completion_tokens;
	await eventually(async () => (await server.api('/api/v1/usage')).total.cost_micros === cents * 10_000);
	await page.goto(server.url + '/models/usage');
	await page
		.getByRole('row', { name: /lab\/small/ })
		.getByText(dollars(cents * 10_000))
		.waitFor();

	// An emptied field goes back to what is known: here nothing.
	await page.goto(server.url + '/models/catalogue');
	await edit.click();
	await field('model_context_label').fill('');
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await row.getByText(say('model_context_unknown')).waitFor();
	await row.getByText(say('model_price', { input: '$10,000.00', output: '$10,000.00' })).waitFor();
});

test('the rules of auto are edited, and the answers say which one counted', async (t) => {
	const base = await vendor(t, 'small', 'large');
	const { server } = await stack(t);
	await withProvider(server, base);
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/models/routing');
	await page.getByRole('button', { name: say('routing_edit_named', { name: 'auto' }), exact: true }).click();
	const form = dialog(page, 'routing_profile_auto');
	await form.getByLabel(say('routing_order'), { exact: true }).selectOption('as_listed');
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await form.getByText(say('routing_models_missing')).waitFor();
	await form.getByRole('combobox', { name: say('routing_model_add'), exact: true }).fill('lab/large');
	await page.keyboard.press('Enter');
	await form.getByText(say('routing_says_listed'), { exact: false }).waitFor();
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await form.waitFor({ state: 'hidden' });
	await page
		.getByRole('listitem')
		.filter({ hasText: say('routing_says_listed') })
		.first()
		.waitFor();

	const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
	const answered = await ask(server, secret, 'auto');
	assert.equal(answered.headers.get('x-foreman-model'), 'large');
	assert.match(String(answered.headers.get('x-foreman-reason')), /^large at lab: on the profile's list/);
	await page.goto(server.url + '/chat/new');
	await page.getByRole('textbox', { name: say('chat_question') }).fill('hello');
	await page.getByRole('button', { name: say('chat_send'), exact: true }).click();
	const answer = page.getByRole('article', { name: say('chat_answer') });
	await answer
		.getByText(`${say('chat_model_at', { model: 'large', provider: 'lab' })}: ${say('chat_because_listed')}`)
		.waitFor();

	// Nothing may leave one's own devices: nobody can answer, and it is said before anything is sent.
	await page.goto(server.url + '/models/routing');
	await page.getByRole('button', { name: say('routing_edit_named', { name: 'auto' }), exact: true }).click();
	await form.getByLabel(say('routing_private'), { exact: true }).check();
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await form.waitFor({ state: 'hidden' });
	const tried = page.getByRole('region', { name: say('try_title') });
	await tried.getByRole('button', { name: say('try_submit') }).click();
	await tried.getByText(say('try_nobody')).waitFor();
	assert.equal((await ask(server, secret, 'auto')).status, 404);
});

test('what may be spent is set, and over it a request is refused with the numbers', async (t) => {
	const base = await vendor(t, 'small');
	const { server } = await stack(t);
	await withProvider(server, base);
	await priced(server, 'small');
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);

	// A key of ten cents: its first answer costs more and is finished, the second is refused.
	await page.goto(server.url + '/models/keys?new');
	const form = dialog(page, 'key_new');
	await form.getByLabel(say('key_name'), { exact: true }).fill('thrifty');
	await form.getByLabel(say('key_cap'), { exact: true }).fill('0.10');
	await form.getByLabel(say('key_period'), { exact: true }).selectOption('ever');
	await form.getByRole('button', { name: say('key_create') }).click();
	const made = dialog(page, 'key_secret', { name: 'thrifty' });
	const secret = (await made.getByRole('textbox', { name: say('key_copy'), exact: true }).innerText()).trim();
	await made.getByRole('button', { name: say('settings_token_secret_done') }).click();
	await made.waitFor({ state: 'detached' });
	assert.equal((await page.content()).includes(secret), false, 'a key is shown once');
	assert.equal((await ask(server, secret)).status, 200);
	const refused = await eventually(async () => {
		const next = await ask(server, secret);
		return next.status === 402 && next.json();
	});
	assert.match(refused.error.message, /^This key may spend 0\.10 \$ on models and has spent \d+\.\d\d \$\./);
	const row = page.getByRole('listitem').filter({ hasText: 'thrifty' });
	await row.getByText(say('key_state_spent'), { exact: true }).waitFor();
	await row.getByText(new RegExp(`^\\$\\d+\\.\\d\\d of \\$0\\.10 over its whole life$`)).waitFor();

	// Everybody's day: set on the page, left over on another, and said where somebody asks.
	await page.goto(server.url + '/models/routing');
	const caps = page.getByRole('region', { name: say('caps_title'), exact: true });
	await caps.getByLabel(say('caps_day'), { exact: true }).fill('0.05');
	await caps.getByRole('button', { name: say('save'), exact: true }).click();
	await shown(page, say('caps_saved')).waitFor();
	await page.goto(server.url + '/models/usage');
	await page.getByRole('meter', { name: say('usage_cap_day'), exact: true }).waitFor();
	await page.getByText(/^\$0\.00 left \(\$\d+\.\d\d of \$0\.05\)$/).waitFor();
	await page.goto(server.url + '/chat/new');
	await page.getByRole('textbox', { name: say('chat_question') }).fill('hello');
	await page.getByRole('button', { name: say('chat_send'), exact: true }).click();
	const answer = page.getByRole('article', { name: say('chat_answer') });
	const cap = answer.getByText(
		say('problem_cap', { spent: dollars((await server.api('/api/v1/usage')).today_micros), cap: '$0.05' })
	);
	await cap.waitFor();
	await answer.getByRole('link', { name: say('chat_go_caps'), exact: true }).click();
	await caps.getByLabel(say('caps_day'), { exact: true }).fill('');
	await caps.getByRole('button', { name: say('save'), exact: true }).click();
	await shown(page, say('caps_saved')).waitFor();
	await page.goBack();
	await answer.getByRole('button', { name: say('try_again'), exact: true }).click();
	await answer
		.getByText(say('chat_model_at', { model: 'small', provider: 'lab' }), { exact: false })
		.first()
		.waitFor();
	await cap.waitFor({ state: 'hidden' });
});

test('usage is drawn by day and measure, and saved as it is shown', async (t) => {
	const base = await vendor(t, 'small', 'large');
	const { server } = await stack(t);
	await withProvider(server, base);
	await priced(server, 'small');
	const key = (/** @type {string} */ name, /** @type {string | undefined} */ project) =>
		server.api('/api/v1/model-keys', { json: { name, project } });
	const [web, spare] = [await key('web', 'website'), await key('spare', undefined)];
	for (const [secret, model] of [
		[web.secret, 'lab/small'],
		[web.secret, 'lab/large'],
		[spare.secret, 'lab/large']
	])
		assert.equal((await ask(server, secret, model)).status, 200);
	const { total } = await eventually(async () => {
		const report = await server.api('/api/v1/usage');
		return report.total.requests === 3 && report;
	});
	const cost = dollars(total.cost_micros);
	const page = await open(t, { expectErrors: EXPECTED, acceptDownloads: true });
	await signIn(page, server);
	await page.goto(server.url + '/models/usage?range=7');
	const chart = page.getByRole('img', { name: /from .+ to / });
	// The chart says in words what it shows.
	await chart
		.and(page.getByRole('img', { name: new RegExp(`^${say('usage_cost')}.*\\${cost}\\.$`) }))
		.waitFor();
	// There is a bar.
	await eventually(async () => (await chart.locator('canvas').evaluate(drawn)) > 0);
	const measure = page.getByRole('group', { name: say('usage_measure') });
	await measure.getByText(say('usage_requests'), { exact: true }).click();
	await chart
		.and(page.getByRole('img', { name: new RegExp(`^${say('usage_requests')}.*: 3\\.$`) }))
		.waitFor();

	await page.getByLabel(say('usage_by_label'), { exact: true }).selectOption('project');
	await page.getByRole('row', { name: /^website 2 / }).waitFor();
	await page.getByRole('row', { name: new RegExp(`^${say('usage_no_project')} 1 `) }).waitFor();
	const saving = page.waitForEvent('download');
	await page.getByRole('link', { name: say('usage_csv') }).click();
	const csv = await readFile(await (await saving).path(), 'utf8');
	const [head, ...rows] = csv.trim().split(/\r?\n/);
	assert.match(head, /cost/);
	assert.ok(
		rows.some((row) => row.includes('website')),
		csv
	);

	// A range of one's own is part of the address.
	await page.getByText(say('usage_custom'), { exact: true }).click();
	await page.getByLabel(say('usage_from'), { exact: true }).fill('2026-01-01');
	await page.getByLabel(say('usage_to'), { exact: true }).fill('2026-01-31');
	await page.getByText(say('usage_none')).waitFor();
	await page.reload();
	await page.getByText(say('usage_none')).waitFor();
});

test('who may only look sees every page of models, and no control that would fail', async (t) => {
	const base = await vendor(t, 'small');
	const { server } = await stack(t);
	await withProvider(server, base);
	const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
	await ask(server, secret);
	await eventually(async () => (await server.api('/api/v1/usage')).total.requests === 1);
	const viewer = await server.host('token', 'create', '--name', 'viewer', '--role', 'viewer');
	const page = await open(t, {
		expectErrors: EXPECTED,
		extraHTTPHeaders: { authorization: `Bearer ${viewer}` }
	});
	/** @type {string[]} */
	const refused = [];
	page.on('response', (response) => {
		if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`);
	});
	const main = page.getByRole('main');
	/** Buttons of the page itself, by name. */
	const buttons = () =>
		main
			.getByRole('button')
			.evaluateAll((all) =>
				all.map((one) => one.getAttribute('aria-label') ?? one.textContent?.trim() ?? '')
			);

	await page.goto(server.url + '/models');
	await page.getByRole('article', { name: /^lab/ }).getByText(say('provider_state_up')).waitFor();
	assert.deepEqual(await buttons(), []);
	// An address that opens a form opens none.
	await page.goto(server.url + '/models?add');
	await page.getByRole('article', { name: /^lab/ }).waitFor();
	assert.equal(await page.getByRole('dialog').count(), 0);

	await page.goto(server.url + '/models/catalogue');
	await page.getByRole('listitem').filter({ hasText: 'lab/small' }).waitFor();
	assert.deepEqual(
		(await buttons()).filter((name) => name.startsWith(say('provider_edit'))),
		[]
	);

	await page.goto(server.url + '/models/routing');
	const tried = page.getByRole('region', { name: say('try_title') });
	await tried.getByRole('button', { name: say('try_submit') }).click();
	await tried.getByText(/^small from lab/).waitFor();
	await eventually(() => page.getByLabel(say('caps_day'), { exact: true }).isDisabled());
	const offered = await buttons();
	for (const key of ['save', 'routing_add']) assert.ok(!offered.includes(say(key)), key);
	assert.ok(!offered.includes(say('routing_edit_named', { name: 'auto' })));

	await page.goto(server.url + '/models/keys?new');
	await page.getByText(say('keys_forbidden'), { exact: true }).waitFor();
	assert.equal(await page.getByRole('dialog').count(), 0);
	assert.deepEqual(await buttons(), []);

	await page.goto(server.url + '/models/usage');
	await page.getByRole('row', { name: /lab\/small/ }).waitFor();
	const csv = await page.request.get(
		server.url + (await page.getByRole('link', { name: say('usage_csv') }).getAttribute('href'))
	);
	assert.equal(csv.status(), 200);

	await page.goto(server.url + '/chat');
	await page.getByRole('heading', { name: say('chat_title'), exact: true }).waitFor();
	assert.equal(await page.getByRole('textbox', { name: say('chat_question') }).count(), 0);
	assert.equal(await page.getByRole('link', { name: say('chat_new'), exact: true }).count(), 0);
	await page.goto(server.url + '/chat/new');
	await settled(page);
	assert.equal(await page.getByRole('textbox', { name: say('chat_question') }).count(), 0);
	// Conversations are people's, and this one looks with a token.
	assert.deepEqual(
		refused.filter((address) => !address.includes('/api/v1/chats?')),
		[],
		'nothing was asked for that is refused'
	);
});

test('nothing is out of reach on pages with models, both themes, both sizes', async (t) => {
	const base = await vendor(t, 'small', 'large', 'embed');
	const { server } = await stack(t);
	await withProvider(server, base);
	const price = { input_micros: 1_000_000, output_micros: 1_000_000 };
	await server.api('/api/v1/models/lab/small', { method: 'PATCH', json: { price, enabled: true } });
	const { secret } = await server.api('/api/v1/model-keys', {
		json: { name: 'laptop', cap_micros: 5_000_000, cap_period: 'day' }
	});
	await ask(server, secret);
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
