// @ts-check
// Settings, Server: the link that brings the app to this server, to copy, to open and to scan.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'uqr';
import { DESKTOP, open, PHONE, settled, signIn } from './browser.mjs';
import { stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

/** What a code says, drawn again: its dark squares. @param {string} text */
const squares = (text) =>
	encode(text, { border: 2 }).data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`${x} ${y}`] : [])));

for (const [name, kind] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`a pairing link and its code are shown on a ${name}`, async (t) => {
		const { server } = await stack(t);
		const page = await open(t, kind);
		await signIn(page, server);
		await page.goto(server.url + '/settings/server');
		const field = page.getByRole('textbox', { name: say('app_link'), exact: true });
		const link = (await field.innerText()).trim();
		assert.equal(link, `foreman://pair?server=${encodeURIComponent(server.url)}`);
		const opener = page.getByRole('link', { name: say('app_link_open'), exact: true });
		assert.equal(await opener.getAttribute('href'), link);
		const code = page.getByRole('img', { name: say('app_link_qr'), exact: true });
		const drawn = (await code.locator('path').getAttribute('d')) ?? '';
		assert.deepEqual(
			[...drawn.matchAll(/M(\d+ \d+)h1v1h-1z/g)].map(([, at]) => at),
			squares(link)
		);
		// A phone would not get to it.
		await page.getByText(say('app_link_loopback', { address: server.url }), { exact: true }).waitFor();
		await code.scrollIntoViewIfNeeded();
		await settled(page);
	});
}

test('the link says the address that others reach, and in German the page says the same', async (t) => {
	const publicUrl = 'http://foreman.example/under';
	const { server } = await stack(t, { publicUrl });
	const words = catalogue('de');
	const page = await open(t, { ...PHONE, locale: 'de-DE', colorScheme: 'dark' });
	await page.goto(await server.loginLink(server.url));
	await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
	await page.goto(server.url + '/settings/server');
	const field = page.getByRole('textbox', { name: say('app_link', {}, words), exact: true });
	assert.equal((await field.innerText()).trim(), `foreman://pair?server=${encodeURIComponent(publicUrl)}`);
	await page.getByText(say('app_link_lead', {}, words), { exact: true }).waitFor();
	const { app_link_loopback: unreachable } = /** @type {any} */ (words);
	assert.equal(await page.getByText(unreachable.split('(')[0].trim()).count(), 0);
	await settled(page, words);
});
