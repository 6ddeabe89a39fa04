// @ts-check
// axe finds nothing on any page, in both themes, at both sizes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, settled, signIn, violations } from './browser.mjs';
import { busy, DOORS, NOWHERE, PAGES } from './pages.mjs';
import { stack } from './stack.mjs';

const EXPECTED = /status of (401|404)|Not found: .nothing/;

test('every page, both themes, both sizes', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const tasks = await busy(server, /** @type {string} */ (agent.id));
	await server.api('/api/v1/devices', { json: { name: 'not yet here', type: 'inference' } });
	const pages = PAGES({
		device: /** @type {string} */ (agent.id),
		task: tasks.running,
		terminal: tasks.terminal
	});

	for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
		for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
			await t.test(`${size}, ${colorScheme}`, async (t) => {
				const page = await open(t, { ...shape, colorScheme, expectErrors: EXPECTED });
				for (const path of DOORS) await look(t, page, server.url + path);
				await signIn(page, server);
				for (const path of pages) await look(t, page, server.url + path, settled);
				await look(t, page, server.url + NOWHERE);
			});
		}
	}
});

/**
 * @param {import('node:test').TestContext} t @param {import('playwright-core').Page} page @param {string} address
 * @param {(page: import('playwright-core').Page) => Promise<unknown>} [ready]
 */
async function look(t, page, address, ready = (page) => page.getByRole('heading').first().waitFor()) {
	await page.goto(address);
	await ready(page);
	assert.deepEqual(await violations(page), [], `${t.name}: ${address}`);
	const tooWide = await page.evaluate(() => {
		const { scrollWidth, clientWidth } = document.documentElement;
		return scrollWidth - clientWidth;
	});
	assert.ok(tooWide <= 0, `${t.name}: ${address} is ${tooWide} px too wide`);
}
