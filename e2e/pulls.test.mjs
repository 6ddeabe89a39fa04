// @ts-check
// Models of a device's Ollama: pulled with progress that whoever looks can see, stopped, gone on with, and deleted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOT_SIGNED_IN, open, shown, signIn } from './browser.mjs';
import { Ollama } from './ollama.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

const NEW = 'qwen3:8b';

/** A device with an Ollama that has one model. @param {import('node:test').TestContext} t @param {Record<string, string>} [env] */
async function scene(t, env = {}) {
	const ollama = await new Ollama().start(t);
	process.env.OLLAMA_HOST = ollama.host;
	const { server, agent } = await stack(t, { device: 'home-server', env });
	await eventually(async () => (await server.api('/api/v1/models')).items.length > 0);
	return { ollama, server, agent };
}

/** @param {import('playwright-core').Page} page */
const card = (page) => page.getByRole('article', { name: /^home-server/ });

test('a model is pulled with progress, stopped, gone on with and deleted', async (t) => {
	const { ollama, server } = await scene(t);
	const page = await open(t);
	await signIn(page, server);
	await page.goto(server.url + '/models');
	const models = card(page);
	await models.getByRole('listitem').filter({ hasText: 'llama3.2:latest' }).waitFor();

	// Held after each step, so that each can be seen; four steps make the whole of it.
	await ollama.hold(1);
	await models.getByLabel(say('pull_model'), { exact: true }).fill(NEW);
	await models.getByRole('button', { name: say('pull'), exact: true }).click();
	const meter = models.getByRole('meter', { name: say('pull_progress', { model: NEW }), exact: true });
	const far = (/** @type {number} */ percent) =>
		eventually(async () => (await meter.getAttribute('aria-valuenow')) === String(percent));
	await models.getByText('pulling manifest').waitFor();
	await ollama.goOn(1);
	await far(25);
	await models.getByText('25\u00a0% · 1/4\u00a0kB', { exact: true }).waitFor();
	await ollama.goOn(1);
	await far(50);

	// It goes on without this page, and the next one sees it.
	await page.reload();
	await ollama.goOn(1);
	await far(75);
	assert.equal((await ollama.state()).pulls, 1, 'it is the same pull');
	await models.getByRole('button', { name: say('pull_stop_named', { model: NEW }), exact: true }).click();
	await models.getByText(say('pull_stopped')).waitFor();
	await ollama.givenUp(1);

	await ollama.release();
	await models.getByRole('button', { name: say('pull_again'), exact: true }).click();
	await shown(page, say('pull_done', { model: NEW })).waitFor();
	const pulled = models.getByRole('listitem').filter({ hasText: NEW });
	await pulled.waitFor();
	await meter.waitFor({ state: 'hidden' });
	assert.equal((await ollama.state()).pulls, 2);

	await pulled.getByRole('button', { name: say('ollama_delete_named', { model: NEW }), exact: true }).click();
	const sure = page.getByRole('alertdialog').or(page.getByRole('dialog'));
	await sure.getByText(say('ollama_delete_text')).waitFor();
	await sure.getByRole('button', { name: say('delete'), exact: true }).click();
	await pulled.waitFor({ state: 'hidden' });
	await eventually(async () => (await ollama.state()).names.join() === 'llama3.2:latest');
	await page.goto(server.url + '/models/catalogue');
	await page.getByRole('listitem').filter({ hasText: 'llama3.2:latest' }).waitFor();
	assert.equal(await page.getByRole('listitem').filter({ hasText: NEW }).count(), 0);
});

test('a device says how large its models are and which are in memory, as that changes', async (t) => {
	const ollama = await new Ollama(['llama3.2:latest', 'qwen3:8b=5225387923', 'gemma3:1b=815319791']).start(t);
	process.env.OLLAMA_HOST = ollama.host;
	const { server, agent } = await stack(t, { device: 'home-server' });
	await eventually(async () => (await server.api('/api/v1/models')).items.length === 3);
	const page = await open(t);
	await signIn(page, server);
	// As they stand in the list: what is in memory comes first.
	const listed = () =>
		card(page)
			.getByRole('listitem')
			.evaluateAll((all) =>
				all.map((one) => [...one.children].map((part) => part.textContent?.trim()).filter(Boolean))
			);
	const loaded = say('ollama_loaded');
	const [llama, qwen, gemma] = [
		['llama3.2:latest', '2.02\u00a0GB'],
		['qwen3:8b', '5.23\u00a0GB'],
		['gemma3:1b', '815\u00a0MB']
	];
	const is = (/** @type {string[][]} */ ...rows) =>
		eventually(async () => JSON.stringify(await listed()) === JSON.stringify(rows));
	const inMemory = (/** @type {string[]} */ [name, size]) => [name, loaded, size];
	for (const path of ['/models', `/devices/${agent.id}`]) {
		await ollama.loads('llama3.2:latest');
		await page.goto(server.url + path);
		await card(page).getByText('3 · 8.06\u00a0GB', { exact: true }).waitFor();
		await is(inMemory(llama), gemma, qwen);
		await ollama.loads('qwen3:8b', 'gemma3:1b');
		await is(inMemory(gemma), inMemory(qwen), llama);
		await ollama.loads();
		await is(gemma, llama, qwen);
	}

	// Without one of them there is less.
	await page.goto(server.url + '/models');
	const remove = say('ollama_delete_named', { model: 'qwen3:8b' });
	await card(page).getByRole('button', { name: remove, exact: true }).click();
	await page
		.getByRole('dialog', { name: say('ollama_delete_title', { model: 'qwen3:8b' }), exact: true })
		.getByRole('button', { name: say('delete'), exact: true })
		.click();
	await card(page).getByText('2 · 2.83\u00a0GB', { exact: true }).waitFor();
	await is(gemma, llama);
});

test('a model that is nowhere says so, and a device that is away offers nothing', async (t) => {
	const { server, agent } = await scene(t, { FOREMAN_OFFLINE_AFTER_S: '8' });
	const page = await open(t);
	await signIn(page, server);
	await page.goto(server.url + '/models');
	const models = card(page);
	await models.getByLabel(say('pull_model'), { exact: true }).fill('missing:1b');
	await models.getByRole('button', { name: say('pull'), exact: true }).click();
	await models.getByText(say('pull_failed'), { exact: true }).waitFor();
	await models.getByText('file does not exist', { exact: false }).waitFor();
	await agent.stop();
	await models.getByText(say('provider_state_offline'), { exact: true }).waitFor();
	await models.getByLabel(say('pull_model'), { exact: true }).waitFor({ state: 'hidden' });
	await models
		.getByRole('button', { name: say('ollama_delete_named', { model: 'llama3.2:latest' }) })
		.waitFor({ state: 'detached' });
});

test('who may only look sees the models, their state and no control that would fail', async (t) => {
	const { server } = await scene(t);
	const viewer = await server.host('token', 'create', '--name', 'viewer', '--role', 'viewer');
	const page = await open(t, {
		expectErrors: NOT_SIGNED_IN,
		extraHTTPHeaders: { authorization: `Bearer ${viewer}` }
	});
	await page.goto(server.url + '/models');
	const model = card(page).getByRole('listitem').filter({ hasText: 'llama3.2:latest' });
	await model.getByText(say('ollama_loaded'), { exact: true }).waitFor();
	assert.deepEqual(await card(page).getByRole('button').allInnerTexts(), []);
	assert.equal(await card(page).getByRole('textbox').count(), 0);
});
