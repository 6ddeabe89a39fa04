// @ts-check
// Who gets in: the setup code makes the owner, a link works once, nobody else sees anything.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, signIn } from './browser.mjs';
import { stack } from './stack.mjs';
import { say } from './words.mjs';

const REFUSED = /status of (401|403)/;

/** @param {import('playwright-core').Page} page @param {string} code */
async function setUp(page, code) {
	await page.getByLabel(say('setup_code')).fill(code);
	await page.getByLabel(say('setup_name')).fill('Ada');
	await page.getByLabel(say('setup_password'), { exact: true }).fill('correct horse battery');
	await page.getByRole('button', { name: say('setup_submit') }).click();
}

test('the setup code in the terminal makes the owner, once', async (t) => {
	const { server } = await stack(t);
	const page = await open(t, { expectErrors: REFUSED });
	await page.goto(server.url);
	await page.getByRole('heading', { name: say('setup_title') }).waitFor();

	await setUp(page, 'AAAA-AAAA-AAAA');
	await page.getByText(say('problem_setup_code')).waitFor();

	await setUp(page, await server.setupCode());
	await page.getByRole('navigation', { name: say('nav_main') }).waitFor();
	const me = await page.evaluate(async () => (await fetch('/api/v1/session')).json());
	assert.equal(me.name, 'Ada');
	assert.equal(me.role, 'owner');

	const stranger = await open(t, { expectErrors: REFUSED });
	await stranger.goto(server.url + '/setup');
	await stranger.getByRole('heading', { name: say('sign_in_title') }).waitFor();
	assert.equal((await server.api('/api/v1/setup')).needed, false);
});

test('a password signs in and out, and a wrong one does not', async (t) => {
	const { server } = await stack(t);
	const page = await open(t, { expectErrors: REFUSED });
	await page.goto(server.url);
	await setUp(page, await server.setupCode());
	await page.getByRole('navigation', { name: say('nav_main') }).waitFor();

	const other = await open(t, { expectErrors: REFUSED });
	await other.goto(server.url + '/devices');
	await other.getByLabel(say('sign_in_name')).fill('Ada');
	await other.getByLabel(say('sign_in_password')).fill('wrong horse battery');
	await other.getByRole('button', { name: say('sign_in'), exact: true }).click();
	await other.getByText(say('sign_in_wrong')).waitFor();
	await other.getByLabel(say('sign_in_password')).fill('correct horse battery');
	await other.keyboard.press('Enter');
	await other.waitForURL((url) => url.pathname === '/devices');
});

test('a sign-in link works once and leaves no trace in the address', async (t) => {
	const { server } = await stack(t);
	const link = await server.loginLink();
	const page = await open(t);
	await page.goto(link);
	await page.getByRole('navigation', { name: say('nav_main') }).waitFor();
	assert.ok(!page.url().includes('ticket'));
	await page.goBack().catch(() => {});
	assert.ok(!page.url().includes('ticket'));

	const second = await open(t, { expectErrors: REFUSED });
	await second.goto(link);
	await second.getByText(say('sign_in_link_failed')).waitFor();
});

test('without a session there is nothing to see', async (t) => {
	const { server } = await stack(t);
	await server.loginLink();
	for (const path of [
		'/api/v1/devices',
		'/api/v1/tasks',
		'/api/v1/audit',
		'/api/v1/events',
		'/api/v1/server',
		'/metrics'
	]) {
		const response = await fetch(server.url + path);
		assert.equal(response.status, 401, path);
		assert.equal(response.headers.get('content-type'), 'application/problem+json', path);
	}
	const page = await open(t);
	await signIn(page, server);
	const { headers } = await fetch(server.url + '/');
	const policy = headers.get('content-security-policy') ?? '';
	assert.match(policy, /default-src 'none'|default-src 'self'/);
	assert.ok(!/script-src[^;]*unsafe/.test(policy), policy);
});
