// @ts-check
// Which way what is typed and shown takes: said where it is typed and shown, not only in a device's details.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, signIn } from './browser.mjs';
import { stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

/** Chromium reports answers that are none to it: nobody signed in, no repository around a folder. */
const USUAL = /status of (401|404)/;

test('the terminal, the files and the logs say which way they take, in both languages', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	for (const language of /** @type {const} */ (['en', 'de'])) {
		for (const device of [DESKTOP, PHONE]) {
			const page = await open(t, { ...device, locale: language, expectErrors: USUAL });
			await signIn(page, server);
			for (const tool of ['terminal', 'files', 'logs']) {
				await page.goto(`${server.url}/devices/${agent.id}/${tool}`);
				const words = say('access_path_server', {}, catalogue(language));
				const said = page.locator('header').getByText(words, { exact: true });
				await said.waitFor();
				// It is not cut off, once its letters are there.
				await page.evaluate(() => document.fonts.ready.then(() => undefined));
				const whole = await said.evaluate((line) => line.scrollWidth <= line.clientWidth);
				assert.ok(whole, `${tool}, ${language}, ${device.viewport.width}: it is cut off`);
				await page.screenshot({ path: `test-results/path-${tool}-${device.viewport.width}-${language}.png` });
			}
		}
	}
});
