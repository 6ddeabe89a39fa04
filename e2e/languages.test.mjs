// @ts-check
// German and English: complete, switchable, remembered.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { open, signIn } from './browser.mjs';
import { PAGES, busy } from './pages.mjs';
import { stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

const german = catalogue('de');
const english = catalogue('en');

/** The placeholders of a message, whatever its form. @param {any} message */
const placeholders = (message) => [...new Set(JSON.stringify(message).match(/\{\w+\}/g) ?? [])].sort();

test('both catalogues have the same messages with the same placeholders', () => {
	assert.deepEqual(Object.keys(german).sort(), Object.keys(english).sort());
	for (const key of Object.keys(english))
		assert.deepEqual(placeholders(german[key]), placeholders(english[key]), key);
});

test('every message is used', () => {
	// The app's program and the server say some of them outside any page.
	const sources = ['src', 'src-tauri/src', 'notices/src']
		.flatMap((folder) =>
			readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => `${folder}/${path}`)
		)
		.filter((path) => /\.(svelte|ts|rs)$/.test(path) && !path.includes('paraglide'))
		.map((path) => readFileSync(path, 'utf8'))
		.join('\n');
	const unused = Object.keys(english).filter(
		(key) => key !== '$schema' && !new RegExp(`\\b${key}\\b`).test(sources)
	);
	assert.deepEqual(unused, []);
});

test('the language follows the browser, can be switched and stays', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const tasks = await busy(server, /** @type {string} */ (agent.id));
	const page = await open(t, { locale: 'de-DE', expectErrors: /status of (401|404)|Not found: .nothing/ });
	await signIn(page, server);
	const words = (/** @type {string} */ key) => say(key, {}, german);
	await page
		.getByRole('link', { name: words('nav_devices') })
		.first()
		.waitFor();
	assert.equal(await page.locator('html').getAttribute('lang'), 'de');

	for (const path of PAGES({
		device: /** @type {string} */ (agent.id),
		task: tasks.running,
		terminal: tasks.terminal
	})) {
		await page.goto(server.url + path);
		await page.getByRole('heading').first().waitFor();
		const text = await page.locator('body').innerText();
		const bare = (text.match(/\b[a-z]+(_[a-z0-9]+)+\b/g) ?? []).filter((word) => word in english);
		assert.deepEqual(bare, [], `a bare key on ${path}`);
		assert.deepEqual(leftInEnglish(text), [], path);
	}

	await page.goto(server.url + '/settings/appearance');
	const choice = page.getByRole('group', { name: words('settings_language') });
	await choice.getByText(say('language_en'), { exact: true }).click();
	await page
		.getByRole('heading', { name: say('settings_title') })
		.first()
		.waitFor();
	await page.reload();
	await page
		.getByRole('heading', { name: say('settings_title') })
		.first()
		.waitFor();
	assert.equal(await page.locator('html').getAttribute('lang'), 'en');
});

/** Whole English sentences that have a German form. @param {string} text */
function leftInEnglish(text) {
	return Object.entries(english)
		.filter(
			([key, message]) =>
				typeof message === 'string' && message !== german[key] && message.split(' ').length > 2
		)
		.filter(([, message]) => !message.includes('{') && text.includes(message))
		.map(([key]) => key);
}
