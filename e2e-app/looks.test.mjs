// @ts-check
// The app's own pages as people see them: both languages, both themes, a window as wide as a phone, and axe.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { stack } from '../e2e/stack.mjs';
import { catalogue, say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';
import { SCRIPT_LIMIT } from './webdriver.mjs';

const german = catalogue('de');
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const PAGES = ['/settings/servers', '/settings/notifications', '/settings/app', '/settings/about'];

/** What axe finds wrong. @param {import('./webdriver.mjs').Window} window */
async function wrong(window) {
	// Not by `eval` in the page: the content policy forbids that, and so does this go through the driver.
	// All that is in a page takes its time.
	await window.call('POST', '/timeouts', { script: 30_000 });
	await window.run(`${await readFile(AXE, 'utf8')}; window.found = undefined;
		axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then((all) => {
			window.found = JSON.stringify(all.violations.map((one) => one.id + ': ' + one.nodes.map((it) => it.html).join(' ')));
		});`);
	await window.call('POST', '/timeouts', { script: SCRIPT_LIMIT });
	return JSON.parse(await window.until('return window.found'));
}

/** Nothing sticks out to the side. @param {import('./webdriver.mjs').Window} window @param {string} what */
const fits = (window, what) =>
	window.wait(
		() => window.run('return document.documentElement.scrollWidth <= document.documentElement.clientWidth'),
		`${what} fits`
	);

test('the app’s own pages are accessible and fit, in both languages, both themes and both sizes', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await window.text(say('app_welcome'));
	assert.deepEqual(await wrong(window), []);
	await enter(window, server);
	await window.text('forge');
	for (const [language, theme, width] of /** @type {const} */ ([
		['en', 'light', 1180],
		['de', 'dark', 390]
	])) {
		await window.run(
			`localStorage.setItem('foreman.locale', arguments[0]); localStorage.setItem('foreman.theme', arguments[1]);`,
			language,
			theme
		);
		await window.call('POST', '/window/rect', { width, height: 844 });
		for (const path of PAGES) {
			await window.go(path);
			await window.text(say('settings_title', {}, language === 'de' ? german : undefined));
			await window.until("return !document.querySelector('[aria-busy=true]')");
			await fits(window, `${path} at ${width}`);
			assert.deepEqual(await wrong(window), [], `${path} ${language} ${theme}`);
			await desk.keep(`${path.split('/').at(-1)}-${language}-${theme}-${width}`);
		}
	}
	await window.go('/');
	await desk.keep('home-de-dark-390');
});
