// @ts-check
// What may be spent in a month: entered, kept, refused over it with the numbers, and free again with the next month.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, shown, signIn } from './browser.mjs';
import { clock } from './clock.mjs';
import { ask, dollars, priced, withProvider } from './lab.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { say } from './words.mjs';

/** What Chromium reports of answers that the dashboard has words for. */
const EXPECTED = /status of (401|402)/;

/** The form of the caps. @param {import('playwright-core').Page} page */
function form(page) {
	const caps = page.getByRole('region', { name: say('caps_title'), exact: true });
	return {
		caps,
		day: caps.getByLabel(say('caps_day'), { exact: true }),
		month: caps.getByLabel(say('caps_month'), { exact: true }),
		save: caps.getByRole('button', { name: say('save'), exact: true })
	};
}

test('a month’s cap is entered, kept, and refuses with the numbers until the month is over', async (t) => {
	const time = await clock(t);
	if (!time) return;
	const base = await vendor(t, 'small');
	const { server } = await stack(t, { env: time.env });
	await withProvider(server, base);
	await priced(server, 'small');
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/models/routing');
	const { caps, day, month, save } = form(page);
	const set = async () => (await server.api('/api/v1/routing')).caps;

	// What is no amount is said where it stands, and nothing is sent.
	for (const wrong of ['a lot', '-5', '1.000,50']) {
		await month.fill(wrong);
		await save.click();
		await caps.getByText(say('model_price_wrong')).waitFor();
		assert.deepEqual(await month.getAttribute('aria-invalid'), 'true');
	}
	assert.deepEqual(await set(), {});
	await month.fill('0,05');
	await day.fill('20');
	await save.click();
	await shown(page, say('caps_saved')).waitFor();
	assert.deepEqual(await set(), { day_micros: 20_000_000, month_micros: 50_000 });
	await eventually(() => save.isDisabled());
	assert.equal(await month.inputValue(), '0.05');
	await page.reload();
	await eventually(async () => (await month.inputValue()) === '0.05');
	assert.equal(await day.inputValue(), '20');

	// The answer that goes over it is finished; the next one is refused, wherever it is asked for.
	const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
	assert.equal((await ask(server, secret)).status, 200);
	const { error } = await eventually(async () => {
		const next = await ask(server, secret);
		return next.status === 402 && next.json();
	});
	const { month_micros: spent } = await server.api('/api/v1/usage');
	const now = new Date();
	const free = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
	assert.deepEqual(error.details, {
		cap: 'month',
		cap_micros: 50_000,
		spent_micros: spent,
		resets_at: free
	});
	assert.match(
		error.message,
		/^This Foreman may spend 0\.05 \$ a month on models and has spent 0\.\d\d \$\./
	);
	await page.goto(server.url + '/chat/new');
	await page.getByRole('textbox', { name: say('chat_question') }).fill('hello');
	await page.getByRole('button', { name: say('chat_send'), exact: true }).click();
	const answer = page.getByRole('article', { name: say('chat_answer') });
	await answer.getByText(say('problem_cap', { spent: dollars(spent), cap: '$0.05' })).waitFor();
	const when = await page.evaluate(
		(at) => new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' }).format(at),
		free
	);
	await answer.getByText(say('problem_cap_resets', { time: when })).waitFor();
	await answer.getByText(say('problem_cap_todo')).waitFor();
	await page.goto(server.url + '/models/usage');
	await page.getByRole('meter', { name: say('usage_cap_month'), exact: true }).waitFor();
	await page
		.getByText(say('usage_cap_left', { left: '$0.00', spent: dollars(spent), cap: '$0.05' }))
		.waitFor();

	// The first moment of the next month, and a little more for what is under way.
	time.set(`+${Math.ceil((free - Date.now()) / 1000) + 1}s`);
	assert.equal((await ask(server, secret)).status, 200);
	assert.equal((await server.api('/api/v1/usage')).caps.month_micros, 50_000, 'the cap is still set');
});

test('a cap that somebody else sets is shown, and stays when another one is changed', async (t) => {
	const { server } = await stack(t);
	const page = await open(t);
	await signIn(page, server);
	await page.goto(server.url + '/models/routing');
	const { day, month, save } = form(page);
	await month.waitFor();
	const routing = await server.api('/api/v1/routing');
	await server.api('/api/v1/routing', {
		method: 'PUT',
		json: { ...routing, caps: { day_micros: 7_000_000 } }
	});
	await eventually(async () => (await day.inputValue()) === '7');
	await month.fill('50');
	await save.click();
	await shown(page, say('caps_saved')).waitFor();
	assert.deepEqual((await server.api('/api/v1/routing')).caps, {
		day_micros: 7_000_000,
		month_micros: 50_000_000
	});
	// Emptied, there is none.
	await day.fill('');
	await save.click();
	await eventually(async () => (await server.api('/api/v1/routing')).caps.day_micros === undefined);
	assert.equal(await month.inputValue(), '50');
});
