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
