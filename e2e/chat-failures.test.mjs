// @ts-check
// Chats where something fails: in the middle of an answer, before its first word, with nobody left to ask, and while
// the server is away. Each says what happened, what was kept and what to do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CUT_OFF, DESKTOP } from './browser.mjs';
import { answers, ask, begin, question, scene } from './chatting.mjs';
import { eventually, vendor } from './stack.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

/** Chooses whom to ask. @param {Page} page @param {string} button @param {string} name */
async function choose(page, button, name) {
	await page.getByRole('button', { name: button }).first().click();
	const dialog = page.getByRole('dialog', { name: say('chat_model') });
	await dialog.getByRole('combobox').fill(name);
	await eventually(async () => (await dialog.getByRole('option').count()) === 1);
	await page.keyboard.press('Enter');
	await dialog.waitFor({ state: 'hidden' });
}

/** A vendor that needs no key. @param {import('node:test').TestContext} t @param {import('./stack.mjs').Server} server @param {string} name @param {...string} models */
async function add(t, server, name, ...models) {
	const base_url = await vendor(t, ...models);
	await server.api('/api/v1/providers', { json: { kind: 'openai_compatible', name, base_url } });
	await eventually(async () => (await server.api(`/api/v1/models?provider=${name}`)).items.length > 0);
}

const whom = new RegExp(`^${say('chat_model_choose', { model: '' })}`);

test('what arrived before the model broke off is kept, and another model answers', async (t) => {
	const { server, page } = await scene(t);
	await add(t, server, 'lab', 'breaks-off', 'small');
	await page.goto(`${server.url}/chat/new`);
	await choose(page, /** @type {any} */ (whom), 'lab/breaks-off');
	await ask(page, 'good morning');
	const answer = answers(page).first();
	const broken = async () => {
		await answer.getByText('breaks-off heard: good').waitFor();
		const problem = answer.getByRole('status').filter({ hasText: say('chat_failed_upstream') });
		await problem
			.getByText(`${say('chat_failed_kept')} ${say('chat_failed_upstream_todo')}`, { exact: true })
			.waitFor();
		await answer
			.getByText(say('chat_model_at', { model: 'breaks-off', provider: 'lab' }))
			.first()
			.waitFor();
	};
	await broken();
	await page.reload();
	await broken();
	await choose(page, say('chat_again_with'), 'lab/small');
	await answer.getByText('small heard: good morning').waitFor();
	await answer.getByText('2/2').waitFor();
	await page.getByRole('button', { name: say('chat_version_before') }).click();
	await broken();
});

test('who answers instead of whom is said, with the reason', async (t) => {
	const { server, page } = await scene(t);
	await add(t, server, 'lab', 'fails-always');
	await add(t, server, 'spare', 'small');
	const routing = await server.api('/api/v1/routing');
	Object.assign(routing.profiles[0], {
		order: 'as_listed',
		models: ['lab/fails-always', 'spare/small'],
		by_request: false
	});
	await server.api('/api/v1/routing', { method: 'PUT', json: routing });
	await begin(page, server, 'anybody?');
	const answer = answers(page).first();
	await answer.getByText('small heard: anybody?').waitFor();
	const failed = `${say('chat_model_at', { model: 'fails-always', provider: 'lab' })}: ${say('chat_miss_failed')} (500)`;
	await answer.getByText(say('chat_instead_of', { models: failed }), { exact: true }).waitFor();
	await answer.getByText(say('chat_because_fallback'), { exact: false }).first().waitFor();
});

test('who was not considered for an answer is said beside it, with the reason', async (t) => {
	const { server, page } = await scene(t);
	await add(t, server, 'lab', 'small', 'large');
	await add(t, server, 'spare', 'mystery');
	const { items } = await server.api('/api/v1/providers');
	const spare = items.find((/** @type {any} */ one) => one.name === 'spare');
	await server.api(`/api/v1/providers/${spare.id}`, { method: 'PATCH', json: { enabled: false } });
	await page.goto(`${server.url}/chat/new`);
	await choose(page, /** @type {any} */ (whom), 'auto:private');
	await ask(page, 'just between us');
	const answer = answers(page).first();
	await answer.getByText('You asked: just between us').waitFor();
	const others = [
		`${say('chat_several_of', { provider: 'lab' })}: ${say('unfit_not_private')}`,
		`spare/mystery: ${say('unfit_disabled')}`
	];
	const told = answer.getByText(say('chat_not_considered', { models: others.join('; ') }), { exact: true });
	assert.equal(await told.count(), 0);
	await answer.getByRole('button', { expanded: false }).first().click();
	await told.waitFor();
	await page.reload();
	await answer.getByRole('button', { expanded: false }).first().click();
	await told.waitFor();
	// With a model's price unknown where spending is capped, that is the reason.
	const routing = await server.api('/api/v1/routing');
	await server.api('/api/v1/routing', {
		method: 'PUT',
		json: { ...routing, caps: { day_micros: 1_000_000 } }
	});
	await server.api('/api/v1/models/lab/large', { method: 'PATCH', json: { enabled: false } });
	await choose(page, /** @type {any} */ (whom), 'auto:cheapest');
	await ask(page, 'anybody?');
	const second = answers(page).nth(1);
	await second.getByText('You asked: anybody?').waitFor();
	await second.getByRole('button', { expanded: false }).first().click();
	await second.getByText(`lab/small: ${say('unfit_price')}`, { exact: false }).waitFor();
});

test('with nobody left to ask, what to do is said and leads there', async (t) => {
	const { ollama, server, page } = await scene(t);
	await add(t, server, 'lab', 'small');
	await begin(page, server, 'first');
	await answers(page).first().getByText('You asked: first').waitFor();
	// Only what is at home may answer, and there is nothing any more.
	await choose(page, /** @type {any} */ (whom), 'auto:private');
	const own = (await server.api('/api/v1/models?private=true')).items[0];
	await server.api(`/api/v1/models/${own.provider}/${own.id}`, { method: 'PATCH', json: { enabled: false } });
	await ask(page, 'second');
	const second = answers(page).nth(1);
	const problem = second.getByRole('status').filter({ hasText: say('chat_failed_no_model') });
	// Nothing had arrived, so nothing is said to be kept.
	await problem.getByText(say('chat_failed_no_model_todo'), { exact: true }).waitFor();
	await problem.getByRole('link', { name: say('chat_go_models') }).click();
	await page.waitForURL((url) => url.pathname === '/models');
	assert.equal((await ollama.asked()).length, 1);
});

test('questions that wait, and a draft, outlive a reload and go once, in order', async (t) => {
	const { ollama, server, page } = await scene(t, DESKTOP, CUT_OFF);
	await begin(page, server, 'first');
	await answers(page).first().getByText('You asked: first').waitFor();
	// The server's chats are away, as in a tunnel; what the reload needs of the page itself is still had.
	await page.route('**/api/v1/chats/*/ask', (route) => route.abort());
	for (const text of ['second', 'third', 'fourth']) await ask(page, text);
	const waiting = page.getByRole('article', { name: say('chat_asked') }).filter({
		has: page.getByRole('button', { name: say('chat_take_back') })
	});
	await eventually(async () => (await waiting.count()) === 3);
	await question(page).fill('half a thought');
	await page.reload();
	await eventually(async () => (await waiting.count()) === 3);
	await waiting.first().getByText(say('chat_waits_offline')).waitFor();
	assert.match((await waiting.allInnerTexts()).join(' '), /second[\s\S]*third[\s\S]*fourth/);
	await eventually(async () => (await question(page).inputValue()) === 'half a thought');
	assert.equal((await ollama.asked()).length, 1);
	await page.unroute('**/api/v1/chats/*/ask');
	await answers(page).nth(3).getByText('You asked: fourth').waitFor();
	await eventually(async () => (await waiting.count()) === 0);
	const told = (await ollama.asked()).map((body) => body.messages.at(-1).content);
	assert.deepEqual(told, ['first', 'second', 'third', 'fourth']);
	// Nothing waits for a second time after the next reload, and the draft is still one.
	await page.reload();
	await answers(page).nth(3).getByText('You asked: fourth').waitFor();
	await eventually(async () => (await question(page).inputValue()) === 'half a thought');
	assert.equal(await waiting.count(), 0);
	assert.equal((await ollama.asked()).length, 4);
});
