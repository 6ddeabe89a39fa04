// @ts-check
// What is done with chats: found, renamed, saved and deleted; what an answer says of itself, its code copied, another
// model asked; a question taken back; and that nothing jumps while an answer comes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { CUT_OFF, DESKTOP, PHONE, NOT_SIGNED_IN } from './browser.mjs';
import { answers, ask, begin, question, scene } from './chatting.mjs';
import { eventually, vendor } from './stack.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

/** Chats of the list. @param {Page} page */
const listed = (page) =>
	page.getByRole('list', { name: say('chat_list'), exact: true }).getByRole('listitem');

/** Chooses from the menu of a chat in the list. @param {Page} page @param {string} title @param {string} key */
async function choose(page, title, key) {
	const row = listed(page).filter({ hasText: title });
	await row.getByRole('button', { name: say('chat_menu', { title }), exact: true }).click();
	await page.getByRole('menuitem', { name: say(key), exact: true }).click();
}

/** What a menu saves. @param {Page} page @param {string} title @param {string} key */
async function saved(page, title, key) {
	const [download] = await Promise.all([page.waitForEvent('download'), choose(page, title, key)]);
	return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
}

test('chats are found by what was said, renamed, saved and deleted', async (t) => {
	const { ollama, server, page } = await scene(t, DESKTOP, /status of (401|404)/);
	await ollama.says('Rayleigh scattering');
	await begin(page, server, 'Why is the sky blue?');
	await answers(page).getByText('Rayleigh scattering').waitFor();
	await ollama.says('A marmalade without peel');
	await begin(page, server, 'What is jelly?');
	await answers(page).getByText('A marmalade').waitFor();
	await eventually(async () => (await listed(page).count()) === 2);

	// By a word of an answer; the address keeps it.
	const search = page.getByRole('searchbox', { name: say('chat_search') });
	await search.fill('rayleigh');
	await eventually(async () => (await listed(page).count()) === 1);
	await listed(page).getByText('Why is the sky blue?').click();
	await answers(page).getByText('Rayleigh scattering').waitFor();
	await page.waitForURL((url) => url.searchParams.get('q') === 'rayleigh');
	await search.fill('neither word');
	await page.getByText(say('chat_search_none_lead', { query: 'neither word' })).waitFor();
	await search.fill('');
	await eventually(async () => (await listed(page).count()) === 2);

	await choose(page, 'Why is the sky blue?', 'chat_rename');
	const dialog = page.getByRole('dialog', { name: say('chat_rename') });
	await dialog.getByLabel(say('chat_name'), { exact: true }).fill('Light: red/blue?');
	await dialog.getByRole('button', { name: say('save'), exact: true }).click();
	await listed(page).getByText('Light: red/blue?').waitFor();
	await page.getByRole('heading', { name: 'Light: red/blue?' }).waitFor();

	const markdown = await saved(page, 'Light: red/blue?', 'chat_export_markdown');
	assert.match(markdown.name, /^Light. red.blue.\.md$/);
	assert.match(markdown.text, /^# Light: red\/blue\?[\s\S]*Why is the sky blue\?[\s\S]*Rayleigh scattering/);
	const everything = JSON.parse((await saved(page, 'Light: red/blue?', 'chat_export_json')).text);
	assert.equal(everything.messages.length, 2);

	const { pathname } = new URL(page.url());
	await choose(page, 'Light: red/blue?', 'delete');
	const sure = page.getByRole('dialog', { name: say('chat_delete_title') });
	await sure.getByText(say('chat_delete_text', { title: 'Light: red/blue?' })).waitFor();
	await sure.getByRole('button', { name: say('delete'), exact: true }).click();
	await eventually(async () => (await listed(page).count()) === 1);
	await page.waitForURL((url) => url.pathname !== pathname);
	await page.goto(server.url + pathname);
	await page.getByRole('heading', { name: say('chat_gone') }).waitFor();
	await listed(page).getByText('What is jelly?').waitFor();
});

test('an answer says what it took and cost, its code is copied, and another model answers too', async (t) => {
	const { ollama, server, page } = await scene(t);
	await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
	const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
	const base_url = await vendor(t, 'small');
	await server.api('/api/v1/providers', { json: { kind: 'openai_compatible', name: 'lab', base_url } });
	// A cent a token.
	const price = { input_micros: 1e10, output_micros: 1e10, cached_micros: 1e10 };
	await server.api('/api/v1/models/lab/small', { method: 'PATCH', json: { price, enabled: true } });
	const code = 'for n in range(3):\n\tprint(n)';
	await ollama.says(`Three:\n\n\`\`\`python\n${code}\n\`\`\`\n`);
	await begin(page, server, 'count to three');
	const answer = answers(page).first();
	const spoken = await eventually(async () => {
		const parts = (await answer.getByText(say('chat_usage_in', { count: 11 })).innerText()).split(' · ');
		return parts.length >= 4 && parts;
	});
	assert.deepEqual([spoken[0], spoken[2]], [say('chat_usage_in', { count: 11 }), say('chat_usage_free')]);
	assert.match(spoken[1], /^[1-9]\d* out$/);
	assert.match(spoken[3], /^first word after \d/);

	await answer
		.getByRole('figure')
		.getByRole('button', { name: say('copy'), exact: true })
		.click();
	await answer.getByRole('button', { name: say('copied'), exact: true }).waitFor();
	assert.equal(await clipboard(), code);
	await answer.getByRole('button', { name: say('chat_copy_answer'), exact: true }).click();
	await eventually(async () => (await clipboard()).startsWith('Three:\n\n```python'));

	// Another model answers the same question, as another version beside the first.
	await answer.getByRole('button', { name: say('chat_again_with'), exact: true }).click();
	const dialog = page.getByRole('dialog', { name: say('chat_model') });
	await dialog.getByRole('combobox').fill('lab/small');
	await eventually(async () => (await dialog.getByRole('option').count()) === 1);
	await page.keyboard.press('Enter');
	await answer
		.getByText(say('chat_model_at', { model: 'small', provider: 'lab' }))
		.first()
		.waitFor();
	await answer.getByText('2/2').waitFor();
	const asked = await eventually(async () => {
		const { sums } = await server.api('/api/v1/usage?by=model');
		return sums.find((/** @type {any} */ sum) => sum.name === 'lab/small');
	});
	assert.ok(asked.cost_micros > 0);
	await answer.getByText(`$${(asked.cost_micros / 1e6).toFixed(2)}`, { exact: false }).waitFor();
	await answer.getByRole('button', { name: say('chat_version_before') }).click();
	await answer.getByText(say('chat_usage_free'), { exact: false }).waitFor();
	assert.equal((await ollama.asked()).length, 1, 'the first was not asked again');
});

test('a question that waits is taken back into the field, and not asked', async (t) => {
	const { ollama, server, page } = await scene(t, DESKTOP, CUT_OFF);
	await begin(page, server, 'first');
	await answers(page).first().getByText('You asked: first').waitFor();
	await page.context().setOffline(true);
	await ask(page, 'too early');
	await page.getByText(say('chat_waits_offline')).waitFor();
	await page.getByRole('button', { name: say('chat_take_back'), exact: true }).click();
	await page.getByText(say('chat_waits_offline')).waitFor({ state: 'hidden' });
	await eventually(async () => (await question(page).inputValue()) === 'too early');
	await question(page).fill('right in time');
	await page.context().setOffline(false);
	await page.getByRole('button', { name: say('chat_send'), exact: true }).click();
	await answers(page).nth(1).getByText('You asked: right in time').waitFor();
	const asked = (await ollama.asked()).map((body) => body.messages.at(-1).content);
	assert.deepEqual(asked, ['first', 'right in time']);
});

for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`nothing jumps while an answer comes (${size})`, async (t) => {
		const { ollama, server, page } = await scene(t, shape, NOT_SIGNED_IN);
		await begin(page, server, 'first');
		await answers(page)
			.first()
			.getByText(say('chat_usage_in', { count: 11 }), { exact: false })
			.waitFor();
		await ollama.says(
			'A word and another. '.repeat(40) + '\n\n- one\n- two\n\n' + 'More words. '.repeat(40),
			40
		);
		await ollama.hold(1);
		// Until it may, not even the first word comes.
		let start = () => {};
		const may = new Promise((go) => (start = () => go(undefined)));
		await page.route(/\/messages\/[^/]+\/stream$/, async (route) => {
			await may;
			await route.continue();
		});
		await ask(page, 'second');
		const answer = answers(page).nth(1);
		await answer.getByText(say('chat_waiting')).waitFor();
		await page.evaluate(async () => {
			// What moved for the question has been drawn.
			await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
			/** @type {any[]} */
			const shifts = /** @type {any} */ (globalThis.shifts = []);
			new PerformanceObserver((list) => {
				// Those soon after a press count too: nothing of them is what was pressed for.
				for (const entry of /** @type {any[]} */ (list.getEntries()))
					for (const { node } of entry.sources) {
						const below = node?.parentElement?.closest('footer') ?? node?.closest?.('footer');
						shifts.push({ value: entry.value, below: !!below, what: node?.parentElement?.outerHTML });
					}
			}).observe({ type: 'layout-shift', buffered: false });
		});
		const shifts = () =>
			page.evaluate(async () => {
				await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
				return /** @type {any[]} */ (/** @type {any} */ (globalThis).shifts);
			});
		start();
		await answer.getByText('A word and').waitFor();
		assert.deepEqual(await shifts(), [], 'the first words take the place of the waiting');

		// Then it grows: what stands under it goes down, and nothing else moves.
		for (let piece = 0; piece < 5; piece += 1) await ollama.goOn(1);
		await ollama.release();
		await answer.getByText(say('chat_usage_in', { count: 11 }), { exact: false }).waitFor();
		assert.deepEqual(
			(await shifts()).filter(({ below }) => !below),
			[]
		);
	});
}
