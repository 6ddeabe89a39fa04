// @ts-check
// Where an account is told without a page: a ntfy topic by its form, this browser as far as it goes in a private
// window, and what its worker does with a push, a press on it and a new address.
import assert from 'node:assert/strict';
import { createECDH, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { DESKTOP, NOT_SIGNED_IN, PHONE, go, open, settled, shown, signIn, violations } from './browser.mjs';
import { ntfy } from './ntfy.mjs';
import { eventually, stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

/** What Chromium reports of answers that the dashboard has words for. */
const EXPECTED = /status of (401|422|429|502)/;

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
	await form.getByText(say('push_ntfy_wrong')).waitFor();
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
	await eventually(
		async () => (await edit.getByLabel(say('push_says'), { exact: true }).inputValue()) === 'full'
	);
	await page.keyboard.press('Escape');

	await row.getByRole('button', { name: say('push_remove_named', { name: 'ntfy' }) }).click();
	await page
		.getByRole('dialog', { name: say('push_remove_title', { name: 'ntfy' }) })
		.getByRole('button', { name: say('push_remove'), exact: true })
		.click();
	await shown(page, say('push_none')).waitFor();
});

test('why a message did not get through is said in the language of the reader', async (t) => {
	const german = catalogue('de');
	const words = (/** @type {string} */ key, values = {}) => say(key, values, german);
	const { topic } = await ntfy(t, [{ status: 403, error: 'forbidden' }]);
	const { server } = await stack(t, { env: { FOREMAN_PUSH_PRIVATE: 'true' } });
	const page = await open(t, { ...PHONE, locale: 'de-DE', expectErrors: EXPECTED });
	await signIn(page, server);
	await page.goto(server.url + '/settings/notifications');
	await page.getByRole('button', { name: words('push_ntfy_add'), exact: true }).click();
	const form = page.getByRole('dialog', { name: words('push_ntfy_add') });
	await form.getByLabel(words('push_ntfy_address'), { exact: true }).fill(topic);
	await form.getByRole('button', { name: words('push_add'), exact: true }).click();
	await form.waitFor({ state: 'hidden' });
	const row = page.getByRole('listitem').filter({ hasText: 'ntfy' });
	await row.getByRole('button', { name: words('push_test_named', { name: 'ntfy' }) }).click();
	await row.getByText(words('push_why_not_allowed_ntfy')).waitFor();
	await row.getByText('403 · forbidden', { exact: true }).waitFor();
	await row.getByRole('alert').getByText(words('push_test_failed')).waitFor();
	assert.doesNotMatch(await row.innerText(), /did not|answered|model/i);
	assert.deepEqual(await violations(page), []);
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

	// Only what is in front needs no notification; where its window was loaded says nothing of that.
	await deliver({ title: 'In front', tag: 'c', page: '/settings/notifications' });
	await deliver({ title: 'Behind it', tag: 'd', page: '/activity' });
	await eventually(async () => (await notifications()).length === 4);
	await go(page, 'nav_work');
	await page.waitForURL(server.url + '/work');
	await deliver({ title: 'Left behind', tag: 'e', page: '/settings/notifications' });
	await eventually(async () => (await notifications()).length === 5);
	const titles = (await notifications()).map(({ title }) => title);
	assert.ok(!titles.includes('In front') && titles.includes('Left behind'), titles.join());
});

/**
 * The dashboard's worker. What a browser allows only for a person's press is written down instead: a press of a test is
 * none.
 * @param {import('playwright-core').Page} page
 */
async function workerOf(page) {
	const arrives = page.context().waitForEvent('serviceworker');
	await page.evaluate(async () => {
		await navigator.serviceWorker.register('/push-worker.js', { scope: '/' });
		await navigator.serviceWorker.ready;
	});
	const worker = await arrives;
	await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
	await worker.evaluate(() => {
		const scope = /** @type {any} */ (globalThis);
		scope.asked = [];
		scope.WindowClient.prototype.focus = async function () {
			scope.asked.push(['focus', this.url]);
			throw new DOMException('nobody pressed');
		};
		scope.clients.openWindow = async (/** @type {string} */ url) => scope.asked.push(['open', url]);
		// Only the browser itself makes events that wait.
		scope.happens = async (/** @type {any} */ event) => {
			let work;
			Object.defineProperty(event, 'waitUntil', { value: (/** @type {any} */ promise) => (work = promise) });
			scope.dispatchEvent(event);
			await work;
		};
	});
	return worker;
}

/**
 * Somebody presses a notification that leads to `leads`: what the worker asked of the browser, and what is still shown.
 * @param {import('playwright-core').Worker} worker @param {unknown} leads
 */
const press = (worker, leads) =>
	worker.evaluate(async (page) => {
		const scope = /** @type {any} */ (globalThis);
		scope.asked.length = 0;
		await scope.registration.showNotification('x', { data: { page } });
		const [notification] = await scope.registration.getNotifications();
		await scope.happens(new scope.NotificationEvent('notificationclick', { notification }));
		const left = await scope.registration.getNotifications();
		return { asked: [...scope.asked], left: left.length };
	}, leads);

test('a press on a notification leads an open tab to its item, asks for one where none is, and leads nowhere else', async (t) => {
	const { server } = await stack(t);
	const page = await open(t);
	await page.context().grantPermissions(['notifications'], { origin: server.url });
	await settings(page, server);
	const worker = await workerOf(page);
	const here = page.url();

	assert.deepEqual(await press(worker, '/devices'), { asked: [['focus', here]], left: 0 });
	await page.waitForURL(server.url + '/devices');
	await settled(page);
	// Where it was loaded is not where it is: the dashboard goes on to other pages without loading.
	await go(page, 'nav_work');
	await page.waitForURL(server.url + '/work');
	await press(worker, '/devices');
	await page.waitForURL(server.url + '/devices');
	await settled(page);

	// Of two tabs the one that shows it, which stays as it is; the other one is not touched.
	const other = await page.context().newPage();
	await other.goto(server.url + '/activity?type=task');
	await settled(other);
	const pressed = await press(worker, '/activity');
	assert.deepEqual(pressed, { asked: [['focus', server.url + '/activity?type=task']], left: 0 });
	assert.equal(page.url(), server.url + '/devices');
	assert.equal(other.url(), server.url + '/activity?type=task');
	await other.close();

	for (const foreign of [
		'https://example.org/steal',
		'//example.org/steal',
		'javascript:alert(1)',
		7,
		null
	]) {
		await page.goto(server.url + '/work');
		await settled(page);
		assert.deepEqual((await press(worker, foreign)).asked, [['focus', server.url + '/work']]);
		await page.waitForURL(server.url + '/');
	}

	await page.close();
	await eventually(() =>
		worker.evaluate(async () => (await /** @type {any} */ (globalThis).clients.matchAll()).length === 0)
	);
	assert.deepEqual(await press(worker, '/devices'), { asked: [['open', server.url + '/devices']], left: 0 });
	const refused = await press(worker, 'https://example.org/steal');
	assert.deepEqual(refused.asked, [['open', server.url + '/']]);
});

/** A browser's own half of a subscription, at an address that nobody writes to here. @param {string} name */
function subscription(name) {
	const pair = createECDH('prime256v1');
	const p256dh = pair.generateKeys('base64url');
	return {
		endpoint: `https://push.example.org/${name}`,
		keys: { p256dh, auth: randomBytes(16).toString('base64url') }
	};
}

/**
 * The browser changes the worker's subscription: with which key it then subscribed, and what it gave up again.
 * @param {import('playwright-core').Worker} worker
 * @param {{ old?: { endpoint: string }, made?: object, offered: object }} change `made` is the browser's own work
 */
const changes = (worker, change) =>
	worker.evaluate(async ({ old, made, offered }) => {
		const scope = /** @type {any} */ (globalThis);
		/** @type {{ key: string[], gaveUp: string[] }} */
		const seen = { key: [], gaveUp: [] };
		const alive = (/** @type {any} */ one) =>
			one && {
				...one,
				toJSON: () => one,
				unsubscribe: async () => seen.gaveUp.push(one.endpoint)
			};
		Object.defineProperty(scope.registration, 'pushManager', {
			configurable: true,
			value: {
				getSubscription: async () => null,
				subscribe: async (/** @type {any} */ options) => {
					seen.key.push(String(options.applicationServerKey));
					return alive(offered);
				}
			}
		});
		const event = new scope.ExtendableEvent('pushsubscriptionchange');
		event.oldSubscription = old && { endpoint: old.endpoint, options: { applicationServerKey: 'its key' } };
		event.newSubscription = alive(made);
		await scope.happens(event);
		return seen;
	}, change);

test('a browser with another address is told there, and one that nobody is signed in with gives it up', async (t) => {
	const { server } = await stack(t);
	const page = await open(t, { expectErrors: /status of (401|404)/ });
	await page.context().grantPermissions(['notifications'], { origin: server.url });
	await settings(page, server);
	const worker = await workerOf(page);
	const [one, two, three, four] = ['one', 'two', 'three', 'four'].map(subscription);
	const api = (
		/** @type {string} */ method,
		/** @type {string} */ path,
		/** @type {any} */ body = undefined
	) =>
		page.evaluate(
			async ([method, path, body]) => {
				const headers = { 'content-type': 'application/json' };
				const answer = await fetch(`/api/v1/${path}`, { method, headers, body });
				return answer.status === 204 ? undefined : answer.json();
			},
			[method, path, body && JSON.stringify(body)]
		);
	const target = { kind: 'web_push', endpoint: one.endpoint, ...one.keys };
	const { id } = await api('POST', 'push/receivers', { name: 'Laptop', target });
	/** The receiver, and the address that it has by its hash. */
	const known = async () => {
		const { items } = await api('GET', 'push/receivers');
		return items.map((/** @type {any} */ item) => [item.id, item.fingerprint]);
	};
	const at = async (/** @type {{ endpoint: string }} */ { endpoint }) => {
		const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(endpoint));
		return Buffer.from(digest).toString('hex').slice(0, 16);
	};

	// The browser says what it had, and subscribes when it is asked to.
	assert.deepEqual(await changes(worker, { old: one, offered: two }), { key: ['its key'], gaveUp: [] });
	assert.deepEqual(await known(), [[id, await at(two)]]);
	// It says nothing of what it had: the server knows the key, and the browser by its session.
	const { public_key } = await api('GET', 'push');
	assert.deepEqual(await changes(worker, { offered: three }), { key: [public_key], gaveUp: [] });
	assert.deepEqual(await known(), [[id, await at(three)]]);

	// Signed out: nothing is sent for anybody, so the browser gives up what it was given.
	await api('DELETE', 'session');
	const out = await changes(worker, { old: three, made: four, offered: four });
	assert.deepEqual(out, { key: [], gaveUp: [four.endpoint] });

	// Signed in anew, and not told here any more.
	await settings(page, server);
	await api('DELETE', `push/receivers/${id}`);
	const removed = await changes(worker, { old: three, made: four, offered: four });
	assert.deepEqual([removed.gaveUp, await known()], [[four.endpoint], []]);
});

test('whoever signs in is told in a browser that was told before only where they want it', async (t) => {
	const { server } = await stack(t);
	const page = await open(t, { expectErrors: /status of (401|404)/ });
	const context = page.context();
	await context.grantPermissions(['notifications'], { origin: server.url });
	await settings(page, server);
	await workerOf(page);
	const mine = subscription('mine');
	// Chromium subscribes to nothing in the window of a test, so it is given what it has.
	await page.addInitScript((mine) => {
		PushManager.prototype.getSubscription = async () =>
			localStorage.getItem('gave-up')
				? null
				: /** @type {any} */ ({
						...mine,
						toJSON: () => mine,
						unsubscribe: async () => localStorage.setItem('gave-up', 'yes')
					});
	}, mine);
	const gaveUp = () => page.evaluate(() => localStorage.getItem('gave-up'));
	const target = { kind: 'web_push', endpoint: mine.endpoint, ...mine.keys };
	await page.evaluate(
		async (body) => {
			const headers = { 'content-type': 'application/json' };
			await fetch('/api/v1/push/receivers', { method: 'POST', headers, body });
			await fetch('/api/v1/session', { method: 'DELETE' });
		},
		JSON.stringify({ name: 'Laptop', target })
	);

	// The same person in a new session: it goes on.
	const renewed = page.waitForResponse((response) => response.url().endsWith('/push/receivers/renew'), {
		timeout: 60_000
	});
	await settings(page, server);
	assert.equal((await renewed).status(), 200);
	await page.getByText(say('push_browser_on')).waitFor();
	assert.equal(await gaveUp(), null);

	// Removed elsewhere: this browser learns of it when a page starts.
	await page.evaluate(async () => {
		const { items } = await (await fetch('/api/v1/push/receivers')).json();
		await fetch(`/api/v1/push/receivers/${items[0].id}`, { method: 'DELETE' });
	});
	await page.reload();
	await eventually(async () => (await gaveUp()) === 'yes');
	await page.reload();
	await page.getByRole('button', { name: say('push_browser_start'), exact: true }).waitFor();
});
