// @ts-check
// A page of which only the first document arrived: it tries again by itself, and says so when that does not help.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, violations } from './browser.mjs';
import { stack } from './stack.mjs';

/** What Chromium says of files that did not arrive. */
const LOST = /net::ERR_|Failed to fetch dynamically imported module|error loading dynamically imported/;

/** @param {import('node:test').TestContext} t @param {{ locale?: string }} [options] */
async function unopened(t, options = {}) {
	const { server } = await stack(t);
	const page = await open(t, { expectErrors: LOST, ...options });
	let documents = 0;
	page.on('request', (request) => {
		if (request.isNavigationRequest()) documents += 1;
	});
	return { server, page, documents: () => documents };
}

const FILES = /\/_app\//;

test('a page whose files were lost on the way opens by itself at the next try, with the link it was called by', async (t) => {
	const { server, page, documents } = await unopened(t);
	// As when the network changes in the middle of loading: everything under way is gone.
	await page.route(FILES, (route) => (documents() < 2 ? route.abort('failed') : route.continue()));
	await page.goto(await server.loginLink());
	await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
	await page.getByRole('navigation').first().waitFor();
	assert.equal(documents(), 2, 'one try more was enough');
});

for (const [locale, words, again] of [
	['en-GB', 'Foreman could not be loaded.', 'Try again'],
	['de-DE', 'Foreman konnte nicht geladen werden.', 'Erneut versuchen']
]) {
	test(`a page that cannot be loaded says so and is tried again by a press (${locale})`, async (t) => {
		const { server, page, documents } = await unopened(t, { locale });
		await page.route(FILES, (route) => route.abort('connectionfailed'));
		await page.goto(`${server.url}/sign-in`);
		await page.getByRole('alert').getByRole('heading', { name: words }).waitFor();
		assert.equal(documents(), 4, 'it was tried three times more before');
		assert.deepEqual(await violations(page), []);
		await page.unroute(FILES);
		await page.getByRole('button', { name: again }).click();
		await page.getByRole('textbox').first().waitFor();
		await page.getByText(words).waitFor({ state: 'hidden' });
	});
}
