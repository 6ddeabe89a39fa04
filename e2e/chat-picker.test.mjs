// @ts-check
// Choosing whom to ask: beside each way of choosing what it would take now and why, beside each model what it costs or
// why it would not answer; true while the choice is open, and nothing where it cannot be had.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CUT_OFF, DESKTOP, PHONE, violations } from './browser.mjs';
import { scene } from './chatting.mjs';
import { Ollama } from './ollama.mjs';
import { eventually } from './stack.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

/** Opens the choice of a new chat. @param {Page} page */
async function choice(page) {
	await page.getByRole('button', { name: say('chat_model_choose', { model: 'auto' }), exact: true }).click();
	return page.getByRole('dialog', { name: say('chat_model') });
}

/** Which model, where and why, as an answer says it too. @param {string} model @param {string[]} because */
const taken = (model, ...because) =>
	`${model}: ${because.map((reason) => say(`chat_because_${reason}`)).join(', ')}`;

/** Where in a dialog each of its options stands and how high it is. @param {import('playwright-core').Locator} dialog */
const places = (dialog) =>
	dialog.getByRole('option').evaluateAll((options) =>
		options.map((option) => {
			const { top, height } = option.getBoundingClientRect();
			// It may still be rising.
			const from = option.closest('[role="dialog"]')?.getBoundingClientRect().top ?? 0;
			return `${Math.round(top - from)} ${Math.round(height)}`;
		})
	);

for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`the choice says what would be taken now, and why (${size})`, async (t) => {
		const { server, agent, page } = await scene(t, shape, CUT_OFF, { FOREMAN_OFFLINE_AFTER_S: '5' });
		const cloud = await new Ollama(['cloud-large']).start(t);
		await server.api('/api/v1/vault', { json: { password: 'correct horse battery' } });
		await server.api('/api/v1/providers', {
			json: {
				kind: 'openai_compatible',
				name: 'cloud',
				base_url: `http://${cloud.host}/v1`,
				key: 'sk-of-the-test',
				use_for: ['all']
			}
		});
		const price = { input_micros: 3e6, output_micros: 15e6 };
		await eventually(async () => (await server.api('/api/v1/models?provider=cloud')).items.length > 0);
		await server.api('/api/v1/models/cloud/cloud-large', {
			method: 'PATCH',
			json: { price, enabled: true }
		});
		const llama = await eventually(async () => {
			const { items } = await server.api('/api/v1/models?private=true');
			return items.find((/** @type {any} */ model) => model.loaded);
		});

		// Until it may, nobody knows.
		let tell = () => {};
		const may = new Promise((go) => (tell = () => go(undefined)));
		let asked = 0;
		await page.route('**/api/v1/routing/now?*', async (route) => {
			asked += 1;
			await may;
			await route.continue();
		});
		await page.goto(`${server.url}/chat/new`);
		const dialog = await choice(page);
		const option = (/** @type {string | RegExp} */ name) => dialog.getByRole('option', { name });
		await option(/^auto:cheapest/).waitFor();
		await eventually(async () => asked > 0);
		const before = await places(dialog);
		tell();
		const home = say('chat_model_on', { model: 'llama3.2:latest', device: 'home-server' });
		const cheapest = say('chat_now', { model: taken(home, 'loaded', 'cheapest') });
		await option(/^auto /)
			.getByText(say('chat_now', { model: taken(home, 'local', 'loaded') }), { exact: true })
			.waitFor();
		await option(/^auto:private/)
			.getByText(say('chat_now', { model: taken(home, 'private', 'loaded') }), { exact: true })
			.waitFor();
		await option(/^auto:cheapest/)
			.getByText(cheapest, { exact: true })
			.waitFor();
		await option(/^cloud-large/)
			.getByText(say('chat_model_price', { price: say('model_price', { input: '$3.00', output: '$15.00' }) }))
			.waitFor();
		await option(/^llama3.2:latest/)
			.getByText(`${say('chat_model_private')} · ${say('chat_because_loaded')}`)
			.waitFor();
		// One for all of them; one more where a model changed meanwhile.
		assert.ok(asked <= 3, `${asked} requests for six ways of choosing`);
		assert.deepEqual(await places(dialog), before, 'nothing moved when it came');
		assert.deepEqual(await violations(page), []);
		const tooWide = await dialog.evaluate((node) => node.scrollWidth - node.clientWidth);
		assert.ok(tooWide <= 0, `${tooWide} px too wide`);

		// The one at home goes while somebody looks.
		await agent.stop();
		const unreachable = say('chat_miss_unreachable');
		const missed = `${say('chat_model_at', { model: llama.id, provider: llama.provider })}: ${unreachable}`;
		const instead = taken(say('chat_model_at', { model: 'cloud-large', provider: 'cloud' }), 'fallback');
		await option(/^auto /)
			.getByText(say('chat_now_instead', { model: instead, missed }), { exact: true })
			.waitFor();
		await option(/^auto:private/)
			.getByText(say('chat_now_none'), { exact: true })
			.waitFor();
		await option(/^llama3.2:latest/)
			.getByText(unreachable)
			.waitFor();
		assert.deepEqual(await places(dialog), before, 'two lines are no higher than one');

		// Where it cannot be had, one chooses as ever.
		await page.keyboard.press('Escape');
		await dialog.waitFor({ state: 'hidden' });
		await page.route('**/api/v1/routing/now?*', (route) => route.abort());
		const failed = page.waitForEvent('requestfailed', (request) => request.url().includes('/routing/now'));
		await choice(page);
		await failed;
		assert.deepEqual(await places(dialog), before);
		assert.equal(await dialog.getByText(/^now/).count(), 0);
		await option(/^cloud-large/).click();
		await page
			.getByRole('button', { name: say('chat_model_choose', { model: 'cloud/cloud-large' }) })
			.waitFor();
	});
}
