// @ts-check
// Signing the app in to a server by the browser: the app opens it, a person allows it on the server's page in a real
// browser, and the link that it comes back with signs the app in, once. Links that others send do nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, signIn } from '../e2e/browser.mjs';
import { stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { lookAt } from './enter.mjs';
import { deskWithBrowser } from './noted-browser.mjs';

/** Chromium here has nobody to hand `foreman://` to: the test does that. */
const NO_HANDLER = /status of 401|registered handler|Failed to launch/;

/** From a fresh app to the browser. @param {import('./webdriver.mjs').Window} window @param {import('../e2e/stack.mjs').Server} server */
async function begin(window, server) {
	await lookAt(window, server);
	await window.press(say('app_sign_in_browser'));
	await window.text(say('app_browser'));
}

/**
 * A person decides in the browser; the link that it leads to. In a tab of its own each time: one that was led to a link
 * of the system hears no pointer any more, where nobody takes such links.
 * @param {import('playwright-core').Page} browser @param {string} page @param {string} button
 */
async function decide(browser, page, button) {
	const tab = await browser.context().newPage();
	await tab.goto(page);
	await tab.getByRole('button', { name: button, exact: true }).click();
	const back = await tab.getByRole('link', { name: say('authorize_back') }).getAttribute('href');
	return back ?? '';
}

const tokens = async (/** @type {import('../e2e/stack.mjs').Server} */ server) => {
	const { items } = await server.api('/api/v1/tokens?limit=200');
	return items.filter((/** @type {any} */ token) => token.name.startsWith('Foreman on '));
};

test('the app is signed in by the browser, and only by the return of what it began itself', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const { desk, opened } = await deskWithBrowser(t);
	const tab = await open(t, { expectErrors: NO_HANDLER });
	await signIn(tab, server);
	const window = await desk.open();
	const iss = encodeURIComponent(server.url);

	// Somebody sends a code of their own before anything was begun.
	const theirs = `foreman://signed-in?code=fmb_theirs&state=theirs&iss=${iss}`;
	await desk.launch([theirs]).ended;
	await window.text(say('app_welcome'));

	await begin(window, server);
	await desk.keep('browser-sign-in');
	const page = new URL(await opened(window));
	assert.equal(page.origin + page.pathname, `${server.url}/authorize`);
	assert.equal(page.searchParams.get('redirect_uri'), 'foreman://signed-in');
	assert.equal(page.searchParams.get('code_challenge_method'), 'S256');
	// … and while this app waits for another.
	await desk.launch([theirs]).ended;
	await window.text(say('app_browser_waiting'));
	assert.deepEqual(await tokens(server), []);

	const link = await decide(tab, page.href, say('authorize_allow'));
	await desk.launch([link]).ended;
	await window.text('forge');
	assert.equal((await tokens(server)).length, 1);
	await desk.alone();
	// Nothing of it is in the page.
	const kept = await window.run('return JSON.stringify([localStorage, sessionStorage, location.href])');
	assert.doesNotMatch(kept, /fm[ab]_|code_verifier/);

	// The same link once more is nothing: the app brings no code twice, so the server takes nothing back.
	await desk.launch([link]).ended;
	await window.go('/devices');
	await window.text('forge');
	assert.equal((await tokens(server)).length, 1);
});

test('a no is told, another server is not believed, and what was given up does not come back', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const { desk, opened } = await deskWithBrowser(t);
	const tab = await open(t, { expectErrors: NO_HANDLER });
	await signIn(tab, server);
	const window = await desk.open();

	await begin(window, server);
	await desk.launch([await decide(tab, await opened(window), say('link_deny'))]).ended;
	await window.text(say('problem_sign_in_denied'));
	await desk.keep('browser-sign-in-denied');

	await window.press(say('app_sign_in_browser'));
	const link = await decide(tab, await opened(window), say('authorize_allow'));
	await desk.launch([link.replace(/iss=[^&]*/, `iss=${encodeURIComponent('https://evil.example')}`)]).ended;
	await window.text(say('problem_wrong_return'));

	await window.press(say('app_sign_in_browser'));
	const late = await decide(tab, await opened(window), say('authorize_allow'));
	await window.press(say('app_back'));
	await window.text(say('app_confirm'));
	await desk.launch([late]).ended;
	await window.text(say('app_confirm'));
	assert.deepEqual(await tokens(server), []);

	// There is always the code.
	await window.press(say('app_sign_in_browser'));
	await window.press(say('app_browser_code'));
	await window.text(say('app_code'));
});
