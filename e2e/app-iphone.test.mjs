// @ts-check
// The app on an iPhone while it is closed: Apple brings what the server says, where the server has an account there.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http2';
import { join } from 'node:path';
import { test } from 'node:test';
import { failure, openApp } from './app.mjs';
import { violations } from './browser.mjs';
import { atEnd, eventually, scratch, stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

/** @param {import('playwright-core').Page} page */
const button = (page, /** @type {string} */ key) => page.getByRole('button', { name: say(key), exact: true });

/** A server with an account, and what Apple takes in of it. @param {import('node:test').TestContext} t */
async function withApple(t) {
	const folder = await scratch();
	atEnd(t, () => folder.remove());
	const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
	const key = join(folder.path, 'AuthKey.p8');
	await writeFile(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
	/** @type {{ path: string | undefined, said: any }[]} */
	const pushed = [];
	const apple = createServer((request, response) => {
		let body = '';
		request.on('data', (part) => (body += part));
		request.on('end', () => {
			pushed.push({ path: request.url, said: JSON.parse(body) });
			response.end();
		});
	});
	apple.listen(0, '127.0.0.1');
	await once(apple, 'listening');
	atEnd(t, () => apple.close());
	const { port } = /** @type {import('node:net').AddressInfo} */ (apple.address());
	const env = {
		FOREMAN_APNS_URL: `http://127.0.0.1:${port}`,
		FOREMAN_APNS_KEY_FILE: key,
		FOREMAN_APNS_KEY_ID: 'KEYID12345',
		FOREMAN_APNS_TEAM_ID: 'TEAM123456',
		FOREMAN_APNS_TOPIC: 'dev.foreman.app'
	};
	const { server } = await stack(t, { env });
	return { server, pushed };
}

test('a closed app on an iPhone is told by Apple, goes on with a new token, and is told no more where that is turned off', async (t) => {
	const { server, pushed } = await withApple(t);
	const { page, app } = await openApp(t, server);
	const receivers = async () => (await server.api('/api/v1/push/receivers')).items;
	app.distributors = null;
	await app.go('/settings/notifications');
	await page.getByText(say('push_apple_lead')).waitFor();
	app.instead.register_push = () => {
		throw failure('no_notifications');
	};
	await button(page, 'push_browser_start').tap();
	await page.getByRole('alert').getByText(say('notices_missing_todo')).waitFor();
	assert.deepEqual(await receivers(), []);
	delete app.instead.register_push;
	await button(page, 'push_browser_start').tap();
	await page.getByText(say('push_phone_on', { name: say('push_kind_apns') })).waitFor();
	assert.equal(app.of('register_push').at(-1).distributor, null);
	const [made] = await receivers();
	assert.deepEqual([made.kind, made.name, made.says], ['apns', say('push_phone_name'), 'little']);
	const row = page.getByRole('listitem').filter({ hasText: say('push_here_phone') });
	await row.getByRole('button', { name: say('push_test_named', { name: made.name }) }).tap();
	await row.getByText(say('push_tested')).waitFor();
	const [{ path, said }] = pushed;
	assert.deepEqual(
		[path, said.mark, said.page],
		[`/3/device/${app.token}`, 'c0ffee', '/settings/notifications']
	);
	assert.deepEqual(await violations(page), []);

	// The system gave another one: the next start says so.
	app.token = 'cd'.repeat(32);
	await app.go('/devices');
	await eventually(async () => {
		const [moved] = await receivers();
		return moved.id === made.id && moved.fingerprint !== made.fingerprint;
	});

	await app.go('/settings/notifications');
	await button(page, 'push_browser_stop').tap();
	await button(page, 'push_browser_start').waitFor();
	assert.deepEqual([app.registration, await receivers()], [null, []]);
});

test('an iPhone hears where its server cannot reach it through Apple, in its language', async (t) => {
	const german = catalogue('de');
	const { server } = await stack(t);
	const { page, app } = await openApp(t, server, { locale: 'de-DE' });
	app.distributors = null;
	await app.go('/settings/notifications');
	await page.getByText(say('push_apple_missing', {}, german)).waitFor();
	assert.equal(await page.getByRole('button', { name: say('push_browser_start', {}, german) }).count(), 0);
	assert.deepEqual(await violations(page), []);
});
