// @ts-check
// Where an account is told without a page: a ntfy topic by its form, this browser as far as it goes in a private
// window, and what its worker does with a push.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { DESKTOP, NOT_SIGNED_IN, PHONE, open, settled, shown, signIn, violations } from './browser.mjs';
import { atEnd, eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** What Chromium reports of answers that the dashboard has words for. */
const EXPECTED = /status of (401|422|429|502)/;

/** A ntfy server that only remembers. @param {import('node:test').TestContext} test */
async function ntfy(test) {
	/** @type {any[]} */
	const told = [];
	const server = createServer(async (request, response) => {
		let body = '';
		for await (const piece of request) body += piece;
		told.push({
			method: request.method,
			authorization: request.headers.authorization,
			...JSON.parse(body || '{}')
		});
		response.end('{}');
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(test, () => server.close());
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	return { told, topic: `http://127.0.0.1:${port}/my-topic` };
}

/** @param {import('playwright-core').Page} page @param {import('./stack.mjs').Server} server */
async function settings(page, server) {
	await signIn(page, server);
	await page.goto(server.url + '/settings/notifications');
	await settled(page);
}

test('a ntfy topic is added, tried, changed and removed', async (t) => {
	const { told, topic } = await ntfy(t);
	const { server } = await stack(t, { env: { FOREMAN_PUSH_PRIVATE: 'true' } });
	const page = await open(t, { ...PHONE, expectErrors: EXPECTED });
	await settings(page, server);
	await page.getByRole('button', { name: say('push_ntfy_add'), exact: true }).click();
	const form = page.getByRole('dialog', { name: say('push_ntfy_add') });
	await form.getByLabel(say('push_ntfy_address'), { exact: true }).fill('http://169.254.169.254/topic');
	await form.getByRole('button', { name: say('push_add'), exact: true }).click();
	await form.getByText(say('push_add_failed')).first().waitFor();
	await form.getByText(say('push_open_ntfy')).waitFor();
	assert.deepEqual(await violations(page), []);
	await form.getByLabel(say('push_ntfy_address'), { exact: true }).fill(topic);
	await form.getByLabel(say('push_ntfy_token'), { exact: true }).fill('tk_secret');
	await form.getByRole('button', { name: say('push_add'), exact: true }).click();
	await form.waitFor({ state: 'hidden' });

	const row = page.getByRole('listitem').filter({ hasText: 'ntfy' });
	await row.getByRole('button', { name: say('push_test_named', { name: 'ntfy' }) }).click();
	await row.getByText(say('push_tested')).waitFor();
	assert.deepEqual([told[0].topic, told[0].authorization], ['my-topic', 'Bearer tk_secret']);
	assert.equal(told[0].title, say('notice_test_title'));
	await row.getByText(say('push_succeeded')).waitFor();
	assert.ok(!(await page.content()).includes('tk_secret') && !(await page.content()).includes('my-topic'));

	await row.getByRole('button', { name: say('push_edit_named', { name: 'ntfy' }) }).click();
	const edit = page.getByRole('dialog', { name: say('push_edit_title', { name: 'ntfy' }) });
	await edit.getByLabel(say('push_says'), { exact: true }).selectOption('full');
	await edit.getByRole('checkbox', { name: say('notices_quiet_use') }).check();
	assert.deepEqual(await violations(page), []);
	await edit.getByRole('button', { name: say('push_save'), exact: true }).click();
	await edit.waitFor({ state: 'hidden' });
	await page.reload();
	await settled(page);
	await row.getByRole('button', { name: say('push_edit_named', { name: 'ntfy' }) }).click();
	assert.equal(await edit.getByLabel(say('push_says'), { exact: true }).inputValue(), 'full');
	await page.keyboard.press('Escape');

	await row.getByRole('button', { name: say('push_remove_named', { name: 'ntfy' }) }).click();
	await page
		.getByRole('dialog', { name: say('push_remove_title', { name: 'ntfy' }) })
		.getByRole('button', { name: say('push_remove'), exact: true })
		.click();
	await shown(page, say('push_none')).waitFor();
});

test('a browser asks only when pressed, and says what its own push service did not do', async (t) => {
	const { server } = await stack(t);
	// A page of a test is one of a private window, in which Chromium subscribes to nothing.
	const expectErrors = new RegExp(`${NOT_SIGNED_IN.source}|in incognito mode`);
	const page = await open(t, { ...DESKTOP, expectErrors });
	await page.context().grantPermissions(['notifications'], { origin: server.url });
	await settings(page, server);
	assert.equal(
		await page.evaluate(() => navigator.serviceWorker.getRegistrations().then((all) => all.length)),
		0
	);
	assert.deepEqual(await violations(page), []);
	await page.getByRole('button', { name: say('push_browser_start'), exact: true }).click();
	// The worker is there, the subscription is not.
	await page.getByRole('alert').getByText(say('push_unreachable')).waitFor();
	assert.equal(
		await page.evaluate(() => navigator.serviceWorker.getRegistrations().then((all) => all.length)),
		1
	);
	await shown(page, say('push_none')).waitFor();
});

test('the worker shows a push, replaces it under its tag, and leads nowhere else', async (t) => {
	const { server } = await stack(t);
	const page = await open(t);
	await page.context().grantPermissions(['notifications'], { origin: server.url });
	await settings(page, server);
	const cdp = await page.context().newCDPSession(page);
	/** @type {string | undefined} */
	let registrationId;
	cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
		registrationId = registrations.find((one) => !one.isDeleted)?.registrationId ?? registrationId;
	});
	await cdp.send('ServiceWorker.enable');
	await page.evaluate(async () => {
		await navigator.serviceWorker.register('/push-worker.js', { scope: '/' });
		await navigator.serviceWorker.ready;
	});
	await eventually(async () => registrationId !== undefined);
	const deliver = (/** @type {any} */ data) =>
		cdp.send('ServiceWorker.deliverPushMessage', {
			origin: server.url,
			registrationId: /** @type {string} */ (registrationId),
			data: typeof data === 'string' ? data : JSON.stringify(data)
		});
	const notifications = () =>
		page.evaluate(async () => {
			const worker = await navigator.serviceWorker.ready;
			const all = await worker.getNotifications();
			return all.map(({ title, body, tag, silent, data }) => ({ title, body, tag, silent, page: data.page }));
		});
	await deliver({
		title: 'Spark is offline',
		body: 'It does not answer.',
		tag: 'a',
		page: '/devices/1',
		urgent: true
	});
	await eventually(async () => (await notifications()).length === 1);
	assert.deepEqual(await notifications(), [
		{
			title: 'Spark is offline',
			body: 'It does not answer.',
			tag: 'a',
			silent: false,
			page: `${server.url}/devices/1`
		}
	]);
	await deliver({ title: 'Spark is online', tag: 'a', page: '/devices/1', over: true });
	await eventually(async () => (await notifications())[0]?.title === 'Spark is online');
	assert.deepEqual(
		(await notifications()).map(({ silent }) => silent),
		[true],
		'in the place of the first'
	);
	// Whatever comes, a press leads into this dashboard.
	await deliver({ title: 'Elsewhere', tag: 'b', page: 'https://example.org/steal' });
	await deliver('no JSON');
	await eventually(async () => (await notifications()).length === 3);
	for (const { page: leads } of await notifications()) assert.ok(leads.startsWith(server.url), leads);
});
