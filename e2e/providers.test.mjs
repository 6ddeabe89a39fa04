// @ts-check
// Providers of models as their page shows them: what agents use them for, switched off and on, tested again, removed;
// and what keeps requests away from them.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { open, signIn } from './browser.mjs';
import { answers, ask as askHere, begin } from './chatting.mjs';
import { Ollama } from './ollama.mjs';
import { PROGRAMS, Program, atEnd, eventually, scratch, stack, vendor } from './stack.mjs';
import { wire } from './wire.mjs';
import { say } from './words.mjs';

/** What Chromium reports of answers that the dashboard has words for. */
const EXPECTED = /status of (401|404|409|423|429|502|503)/;

/** @param {import('./stack.mjs').Server} server @param {string} name @param {string} base_url @param {string} [key] */
const add = (server, name, base_url, key) =>
	server.api('/api/v1/providers', { json: { kind: 'openai_compatible', name, base_url, key } });

/** As a client does. @param {import('./stack.mjs').Server} server @param {string} secret @param {string} model */
const ask = (server, secret, model) =>
	fetch(`${server.url}/v1/chat/completions`, {
		method: 'POST',
		headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
		body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] })
	});

/** @param {import('playwright-core').Page} page @param {string} name */
const card = (page, name) => page.getByRole('article', { name: new RegExp(`^${name}`) });

/** Chooses from a provider's menu. @param {import('playwright-core').Page} page @param {string} name @param {string} key */
async function choose(page, name, key) {
	await card(page, name)
		.getByRole('button', { name: say('provider_actions', { name }), exact: true })
		.click();
	await page.getByRole('menuitem', { name: say(key), exact: true }).click();
}

test('a provider becomes what agents ask, is switched off and on, tested again and removed', async (t) => {
	const far = await wire(t);
	const base = new URL(await vendor(t, 'small', 'large'));
	far.leadTo(base.href);
	const { server } = await stack(t);
	const { id } = await add(server, 'lab', far.url + base.pathname);
	await eventually(async () => (await server.api('/api/v1/models')).items.length === 2);
	const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(`${server.url}/models`);
	const lab = card(page, 'lab');

	await lab.getByRole('button', { name: say('backend_configure') }).click();
	const form = page.getByRole('dialog', { name: say('backend_title', { name: 'lab' }), exact: true });
	const box = (/** @type {string} */ key) => form.getByRole('checkbox', { name: say(key), exact: true });
	await form.getByLabel(say('backend_model'), { exact: true }).selectOption('large');
	await box('backend_use_all').uncheck();
	await form.getByText(say('backend_use_none')).waitFor();
	await box('backend_use_code').check();
	await box('backend_use_research').check();
	await form.getByRole('button', { name: say('save'), exact: true }).click();
	await form.waitFor({ state: 'hidden' });
	await lab
		.getByText(`${say('provider_use_code')}, ${say('provider_use_research')}`, { exact: true })
		.waitFor();
	await lab.getByText('large', { exact: true }).waitFor();
	const kept = (await server.api('/api/v1/providers')).items.find((/** @type {any} */ one) => one.id === id);
	assert.deepEqual([kept.default_model, kept.use_for], ['large', ['code', 'research']]);
	const answered = await ask(server, secret, 'auto:code');
	assert.equal(answered.headers.get('x-foreman-model'), 'large', await answered.text());

	// Switched off nobody is asked; that is taken back where it is said.
	await choose(page, 'lab', 'provider_disable');
	await lab.getByText(say('provider_state_disabled'), { exact: true }).waitFor();
	await eventually(async () => (await ask(server, secret, 'lab/large')).status === 404);
	await page.getByRole('button', { name: say('undo'), exact: true }).click();
	await lab.getByText(say('provider_state_up'), { exact: true }).waitFor();
	await eventually(async () => (await ask(server, secret, 'lab/large')).status === 200);

	// It goes away and comes back, and each test says so.
	const again = lab.getByRole('button', { name: say('provider_test'), exact: true });
	far.cut();
	await again.click();
	await lab.getByText(say('provider_state_failing'), { exact: true }).waitFor();
	await lab.getByText(say('provider_fault_unreachable')).waitFor();
	far.mend();
	await again.click();
	await lab.getByText(say('provider_state_up'), { exact: true }).waitFor();
	await lab.getByText(say('provider_fault_unreachable')).waitFor({ state: 'detached' });

	await choose(page, 'lab', 'provider_remove');
	const sure = page.getByRole('dialog', { name: say('provider_remove_title', { name: 'lab' }), exact: true });
	await sure.getByText(say('provider_remove_text')).waitFor();
	await sure.getByRole('button', { name: say('provider_remove'), exact: true }).click();
	await lab.waitFor({ state: 'detached' });
	await page.getByRole('heading', { name: say('providers_none') }).waitFor();
	assert.equal((await ask(server, secret, 'lab/large')).status, 404);
});

test('a provider that is paused, asked too often or refuses its key says so, and until when', async (t) => {
	const { server } = await stack(t);
	await server.api('/api/v1/vault', { json: { password: 'correct horse battery' } });
	const model = { busy: 'limited-a', soon: 'limited-for-8', broken: 'fails-b', strict: 'refuses-c' };
	for (const [name, offered] of Object.entries(model))
		await add(server, name, await vendor(t, offered), `sk-${name}-0123456789`);
	await eventually(async () => (await server.api('/api/v1/models')).items.length === 4);
	const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(`${server.url}/models`);
	const is = (/** @type {string} */ name, /** @type {string} */ key) =>
		card(page, name).getByText(say(key), { exact: true });
	for (const name of Object.keys(model)) await is(name, 'provider_state_up').waitFor();

	// What opens the breaker is announced: three failures in a row.
	for (let time = 0; time < 3; time += 1) await ask(server, secret, 'broken/fails-b');
	await is('broken', 'provider_state_paused').waitFor();
	await card(page, 'broken')
		.getByText(/^Tried again in \d/)
		.waitFor();

	await ask(server, secret, 'busy/limited-a');
	await ask(server, secret, 'strict/refuses-c');
	await is('strict', 'provider_state_key_refused').waitFor();
	await is('strict', 'provider_fault_key_refused').waitFor();
	// Patience that was asked for is in no log, and is seen all the same when it begins and when it is over.
	await is('busy', 'provider_state_limited').waitFor();
	await card(page, 'busy')
		.getByText(/^Tried again in \d/)
		.waitFor();
	await ask(server, secret, 'soon/limited-for-8');
	await is('soon', 'provider_state_limited').waitFor();
	await is('soon', 'provider_state_up').waitFor();
	// The circuit stays open for longer; then it is said that somebody may try.
	await is('broken', 'provider_retry_next').waitFor();
	await is('broken', 'provider_state_paused').waitFor();
	// None of them is asked again at once.
	assert.equal((await ask(server, secret, 'busy/limited-a')).status, 429);
});

/**
 * What makes a server find a stub by a vendor's own name: a proxy that leads there and the root that vouches for it, as
 * a company's network has them.
 * @param {import('node:test').TestContext} t @param {string} host @param {string} key @param {...string} models
 */
async function network(t, host, key, ...models) {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const root = join(folder.path, 'root.pem');
	const args = ['--for', host, root, key, ...models];
	const program = new Program(join(PROGRAMS, 'model-stub'), args, { input: null });
	atEnd(t, () => program.stop());
	const [, proxy] = await program.line(/^listening on (http:\/\/\S+)/);
	return { HTTPS_PROXY: proxy, SSL_CERT_FILE: root };
}

test('with the key of one vendor, auto goes there when the model on the device stops', async (t) => {
	const key = 'sk-ant-0123456789abcdef';
	const env = await network(t, 'api.anthropic.com', key, 'claude-haiku-4-5');
	const ollama = await new Ollama().start(t);
	await ollama.says('You asked: {question}');
	// The agent inherits it, as it would from the machine.
	process.env.OLLAMA_HOST = ollama.host;
	const { server } = await stack(t, { device: 'home-server', env });
	await server.api('/api/v1/vault', { json: { password: 'correct horse battery' } });
	await eventually(async () => (await server.api('/api/v1/models')).items.length === 1);
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await begin(page, server, 'first');
	await answers(page).first().getByText('You asked: first').waitFor();
	const conversation = page.url();

	// Chosen by its name, with nothing but the key: mistyped first, and said so.
	await page.goto(`${server.url}/models`);
	await page
		.getByRole('button', { name: say('provider_add'), exact: true })
		.first()
		.click();
	const form = page.getByRole('dialog', { name: say('provider_add'), exact: true });
	await form.getByLabel(say('provider_kind'), { exact: true }).selectOption({ label: 'Anthropic' });
	await form.getByLabel(say('vault_key_value'), { exact: true }).fill(`${key}-mistyped`);
	await form.getByRole('button', { name: say('provider_add_submit'), exact: true }).click();
	const added = page.getByRole('dialog', {
		name: say('provider_added_title', { name: 'anthropic' }),
		exact: true
	});
	await added.getByText(say('provider_added_silent')).waitFor();
	await added.getByText(say('provider_fault_key_refused')).waitFor();
	await added.getByLabel(say('vault_key_value'), { exact: true }).fill(key);
	await added.getByRole('button', { name: say('provider_test_again'), exact: true }).click();
	await added.getByText(/valid, 1 model, \d+/).waitFor();
	await added.getByRole('button', { name: say('provider_done'), exact: true }).click();
	await card(page, 'anthropic').getByText(say('provider_state_up'), { exact: true }).waitFor();

	await page.goto(conversation);
	await ollama.stop();
	await askHere(page, 'second');
	const second = answers(page).nth(1);
	await second.getByText('claude-haiku-4-5 heard: second').waitFor();
	const model = { model: 'claude-haiku-4-5', provider: 'anthropic' };
	await second.getByText(say('chat_model_at', model), { exact: false }).first().waitFor();
	await second.getByText(say('chat_because_fallback'), { exact: false }).first().waitFor();
});
