// @ts-check
// The whole way by keyboard: palette, pages, dialogs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasKeys, open, signIn } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

test('the palette finds and opens by keyboard alone', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await page.getByRole('navigation', { name: say('nav_main') }).waitFor();

	await page.keyboard.press('Control+k');
	const palette = page.getByRole('dialog', { name: say('palette') });
	// What is typed goes to its field, once that has the keys.
	await eventually(() => hasKeys(palette.getByRole('combobox')));
	await page.keyboard.type('bench');
	await palette.getByRole('option', { name: /bench/, selected: true }).waitFor();
	await page.keyboard.press('Enter');
	await page.waitForURL((url) => url.pathname === `/devices/${agent.id}`);
	await palette.waitFor({ state: 'hidden' });

	await page.keyboard.press('Control+k');
	await eventually(() => hasKeys(palette.getByRole('combobox')));
	await page.keyboard.type('no such thing');
	await page.getByText(say('palette_empty', { query: 'no such thing' })).waitFor();
	await page.keyboard.press('Escape');
	await palette.waitFor({ state: 'hidden' });
});

test('a new page is reached, and left again, by Tab alone', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await page.getByRole('navigation', { name: say('nav_main') }).waitFor();
	await page.goto(server.url + '/');
	await page.getByRole('navigation', { name: say('nav_main') }).waitFor();

	await page.keyboard.press('Tab');
	assert.equal(await focused(page), say('skip_to_content'));
	const seen = [];
	for (let presses = 0; presses < 60; presses++) {
		await page.keyboard.press('Tab');
		seen.push(await focused(page));
		if (seen.at(-1) === say('nav_work')) break;
	}
	assert.equal(seen.at(-1), say('nav_work'), seen.join(' · '));
	await page.keyboard.press('Enter');
	await page
		.getByRole('heading', { name: say('work_title') })
		.first()
		.waitFor();
});

/** The name of what has the focus. @param {import('playwright-core').Page} page */
const focused = (page) =>
	page.evaluate(() => {
		const element = document.activeElement;
		return (element?.getAttribute('aria-label') ?? element?.textContent ?? '').trim();
	});
