// @ts-check
// A device's terminal in the dashboard, as journeys use it.
import { hasKeys } from './browser.mjs';
import { eventually } from './stack.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

/** What the screen of a terminal shows. @param {Page} page */
export const screen = (page, index = 0) => page.locator('.xterm-rows').nth(index);

/** The screen says it, once it does. @param {Page} page @param {string | RegExp} words */
export const says = (page, words, index = 0) => screen(page, index).getByText(words).first().waitFor();

/** A new terminal on a device. @param {Page} page @param {string} address @param {Record<string, any>} [words] */
export async function openTerminal(page, address, words) {
	await page.goto(address);
	await page
		.getByRole('button', { name: say('terminal_open_shell', {}, words) })
		.first()
		.click();
	await page.waitForURL(/\/terminal\/.+/);
	await attached(page, words);
	return page.url();
}

/** The terminal is drawn, and its device is reached. @param {Page} page @param {Record<string, any>} [words] */
export async function attached(page, words) {
	await page.locator('.xterm-screen').waitFor();
	await page
		.locator('main')
		.getByText(say('link_live', {}, words), { exact: true })
		.first()
		.waitFor();
}

/** Keys go to a terminal, once they do. @param {Page} page */
export const keysGoTo = (page, index = 0) =>
	eventually(() => hasKeys(page.locator('.xterm-helper-textarea').nth(index)));

/** @param {Page} page @param {string} line */
export async function type(page, line) {
	await page.locator('.xterm-helper-textarea').first().focus();
	await keysGoTo(page);
	await page.keyboard.type(line);
	await page.keyboard.press('Enter');
}
