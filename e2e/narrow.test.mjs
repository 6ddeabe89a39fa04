// @ts-check
// Every page at the width of a phone, in both languages, and of a tablet and a small window in the longer one: nothing scrolls sideways and no word is cut off.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, outputOf, settled, signIn } from './browser.mjs';
import { beyond } from './fit.mjs';
import { PAGES, busy } from './pages.mjs';
import { stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

const SIZES = {
	phone: PHONE,
	tablet: { viewport: { width: 1024, height: 768 } },
	window: { viewport: { width: 1280, height: 800 } }
};

for (const [locale, size] of /** @type {const} */ ([
	['de-DE', 'phone'],
	['en-GB', 'phone'],
	['de-DE', 'tablet'],
	['de-DE', 'window']
])) {
	test(`no page scrolls sideways or cuts words off (${size}, ${locale})`, async (t) => {
		const { server, agent } = await stack(t, { device: 'bench' });
		const device = /** @type {string} */ (agent.id);
		const tasks = await busy(server, device);
		const page = await open(t, { ...SIZES[size], locale });
		await signIn(page, server);
		const words = catalogue(locale === 'de-DE' ? 'de' : 'en');
		/** @type {Record<string, string[]>} */
		const all = {};
		for (const path of PAGES({ device, task: tasks.running, terminal: tasks.terminal })) {
			await page.goto(server.url + path);
			// All is there, and its fonts, for they change widths.
			await settled(page, words);
			const found = await page.evaluate(beyond);
			if (found.length > 0) all[path] = found;
		}
		assert.deepEqual(all, {});
	});
}

test('settings are a list on a phone, and each section leads back to it', async (t) => {
	const { server } = await stack(t);
	const page = await open(t, PHONE);
	await signIn(page, server);
	await page.goto(server.url + '/settings');
	const list = page.getByRole('navigation', { name: say('settings_nav') });
	await list.getByRole('link', { name: say('settings_tokens') }).tap();
	await page.getByRole('heading', { level: 1, name: say('settings_tokens') }).waitFor();
	assert.equal(new URL(page.url()).pathname, '/settings/tokens');
	await page
		.getByRole('link', { name: say('settings_title'), exact: true })
		.first()
		.tap();
	await list.getByRole('link', { name: say('settings_account') }).tap();
	await page.getByRole('heading', { level: 1, name: say('settings_account') }).waitFor();
});

test('a file stands beside its folder where there is room, and alone on a phone', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	for (const [size, beside] of /** @type {const} */ ([
		[SIZES.tablet, true],
		[PHONE, false]
	])) {
		const page = await open(t, size);
		await signIn(page, server);
		await page.goto(`${server.url}/devices/${agent.id}/files/view?path=/usr/lib/os-release`);
		await page.getByRole('region', { name: say('files_content') }).waitFor();
		const current = page.locator('a[aria-current="true"]', { hasText: 'os-release' });
		if (beside) await current.waitFor();
		else assert.equal(await current.count(), 0);
	}
});

test('the list of work stays beside what is chosen from it where there is room, and makes way on a phone', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const run = (/** @type {string} */ shell) =>
		server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell } });
	const first = await run('echo the first');
	await run('echo the second');
	for (const [size, beside] of /** @type {const} */ ([
		[SIZES.tablet, true],
		[DESKTOP, true],
		[PHONE, false]
	])) {
		const page = await open(t, size);
		await signIn(page, server);
		await page.goto(`${server.url}/tasks/${first.id}`);
		await outputOf(page).getByText('the first', { exact: true }).waitFor();
		const list = page.getByRole('region', { name: say('work_list'), exact: true });
		assert.equal(await list.isVisible(), beside);
		if (!beside) continue;
		await list.getByRole('link', { name: /echo the second/ }).click();
		await outputOf(page).getByText('the second', { exact: true }).waitFor();
		assert.ok(await list.isVisible());
	}
});
