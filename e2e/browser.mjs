// @ts-check
// A browser as a person has it: a window or a phone, in light or dark, in one language.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { atEnd } from './stack.mjs';
import { say } from './words.mjs';

/** Frames for which a finger rests. */
const REST = 8;

const FLAGS = [
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync'
];

export const DESKTOP = { viewport: { width: 1440, height: 900 } };
export const PHONE = {
	viewport: { width: 390, height: 844 },
	isMobile: true,
	hasTouch: true,
	deviceScaleFactor: 2
};

/** Chromium itself reports each answer of 401, which is how a page learns that nobody is signed in. */
export const NOT_SIGNED_IN = /status of 401/;
/** What Chromium reports while the wire is cut or the server is away, also of pages that are fetched ahead. */
export const CUT_OFF = /status of 401|net::ERR_|Failed to fetch|Unable to preload CSS/;

export function launch() {
	return chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: FLAGS });
}

/**
 * A page that ends with the test. Errors in its console fail the test, unless it expects them.
 * @param {import('node:test').TestContext} test
 * @param {import('playwright-core').BrowserContextOptions & { expectErrors?: RegExp }} [options]
 */
export async function open(test, { expectErrors = NOT_SIGNED_IN, ...options } = {}) {
	const browser = await launch();
	const context = await browser.newContext({
		...DESKTOP,
		locale: 'en-GB',
		reducedMotion: 'reduce',
		...options
	});
	const page = await context.newPage();
	page.setDefaultTimeout(Number(process.env.PATIENCE ?? 20_000));
	/** @type {string[]} */
	const errors = [];
	page.on('pageerror', (error) => errors.push(String(error)));
	page.on('console', (message) => {
		if (message.type() === 'error') errors.push(message.text());
	});
	atEnd(test, async () => {
		await keepPicture(page, test.name);
		await browser.close();
		const unexpected = errors.filter((error) => !expectErrors?.test(error));
		if (unexpected.length > 0) throw new Error(`errors in the page's console:\n${unexpected.join('\n')}`);
	});
	return page;
}

/** What the page showed last, for whoever looks at a failure. @param {import('playwright-core').Page} page @param {string} name */
async function keepPicture(page, name) {
	mkdirSync('test-results', { recursive: true });
	const path = `test-results/${name.replace(/\W+/g, '-')}.png`;
	await page.screenshot({ path, timeout: 5_000 }).catch(() => {});
}

/** The main navigation, by the name of the page. @param {import('playwright-core').Page} page @param {string} key */
export async function go(page, key) {
	await page
		.getByRole('navigation', { name: say('nav_main') })
		.getByRole('link', { name: say(key), exact: true })
		.click();
}

/** What a task printed so far, as the dashboard has it: by its own copy button, for the view shows only a part. */
export async function copiedOutput(/** @type {import('playwright-core').Page} */ page) {
	await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
	await page.getByRole('button', { name: say('output_copy'), exact: true }).click();
	await page
		.getByRole('region', { name: say('notices') })
		.getByText(/copied/)
		.first()
		.waitFor();
	return page.evaluate(() => navigator.clipboard.readText());
}

/** Starts a shell line on the only device, from the dashboard. @param {import('playwright-core').Page} page @param {string} line */
export async function runShell(page, line) {
	await go(page, 'nav_work');
	await page.getByRole('link', { name: say('work_new') }).click();
	const dialog = page.getByRole('dialog', { name: say('run_title') });
	await dialog.getByLabel(say('run_shell'), { exact: true }).fill(line);
	await dialog.getByRole('button', { name: say('run_submit'), exact: true }).click();
	await dialog.waitFor({ state: 'hidden' });
}

/** Words that are on the screen, whatever else says the same to screen readers. @param {import('playwright-core').Page} page @param {string | RegExp} words */
export const shown = (page, words) =>
	page
		.getByText(words, { exact: typeof words === 'string' })
		.locator('visible=true')
		.first();

/** Whether this is what the keys go to. @param {import('playwright-core').Locator} locator */
export const hasKeys = (locator) => locator.evaluate((element) => element === document.activeElement);

/** The view of a task's output. @param {import('playwright-core').Page} page */
export const outputOf = (page) => page.getByRole('region', { name: say('output_title') }).last();

/**
 * Signs in by a one-use link, at another address of the server when one is named.
 * @param {import('playwright-core').Page} page @param {import('./stack.mjs').Server} server @param {string} [base]
 */
export async function signIn(page, server, base) {
	await page.goto(await server.loginLink(base));
	await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
}

/**
 * Nothing still loads: the page is live, fonts are there, two frames were drawn.
 * @param {import('playwright-core').Page} page @param {Record<string, any>} [words] of another language
 */
export async function settled(page, words) {
	await page
		.getByText(say('link_live', {}, words), { exact: true })
		.locator('visible=true')
		.first()
		.waitFor();
	await page.getByRole('heading').first().waitFor();
	await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
	await page.evaluate(async () => {
		await document.fonts.ready;
		await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
	});
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds on the page as it is now, one line each. @param {import('playwright-core').Page} page */
export async function violations(page) {
	await page.evaluate(`${axe};undefined`);
	const { violations: found } = await page.evaluate(() => /** @type {any} */ (globalThis).axe.run());
	return found.map(
		(/** @type {any} */ rule) =>
			`${rule.id}: ${rule.help}: ${rule.nodes.map((/** @type {any} */ node) => node.html.slice(0, 160)).join(' | ')}`
	);
}

/**
 * One finger, from one point to another, through the same path as a real touch. It moves at a finger's pace, one step
 * for each frame that the page draws, and rests before it lifts.
 * @param {import('playwright-core').Page} page
 * @param {{ x: number, y: number }} from @param {{ x: number, y: number }} to
 */
export async function swipe(page, from, to, steps = 12) {
	const devtools = await page.context().newCDPSession(page);
	const touch = (
		/** @type {'touchStart' | 'touchMove' | 'touchEnd'} */ type,
		/** @type {object[]} */ touchPoints
	) => devtools.send('Input.dispatchTouchEvent', { type, touchPoints: /** @type {any} */ (touchPoints) });
	const frame = () => page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
	await touch('touchStart', [from]);
	for (let step = 1; step <= steps + REST; step++) {
		await frame();
		const share = Math.min(1, step / steps);
		const still = step > steps ? (step % 2) * 0.5 : 0;
		await touch('touchMove', [
			{ x: from.x + (to.x - from.x) * share + still, y: from.y + (to.y - from.y) * share }
		]);
	}
	await touch('touchEnd', []);
	await frame();
	await devtools.detach();
}
