// @ts-check
// Somebody who tries to reach a device without a right to is turned away by it, whoever guesses at a sign-in by the
// server, and the owner is told.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { createConnection } from 'node:net';
import { test } from 'node:test';
import { open, signIn } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** Begins as every link does, and then cannot say who it is. @param {number} port */
async function knock(port) {
	const socket = createConnection({ host: '127.0.0.1', port });
	socket.on('error', () => {});
	const version = Buffer.from([0, 1]);
	// A message of the handshake, by its length; nothing in it is signed by anybody.
	const message = Buffer.concat([Buffer.from([0, 96]), randomBytes(96)]);
	socket.write(Buffer.concat([Buffer.from('FML1'), version, randomBytes(16), message]));
	socket.resume();
	await once(socket, 'close');
}

/** A wrong password from another address of this machine; the answer's status. @param {string} url @param {string} from */
async function guess(url, from) {
	const options = { method: 'POST', localAddress: from, headers: { 'content-type': 'application/json' } };
	const sent = request(`${url}/api/v1/session`, options);
	sent.end(JSON.stringify({ name: 'ada', password: 'not this one' }));
	const [answer] = await once(sent, 'response');
	answer.resume();
	return answer.statusCode;
}

test('who is turned away by a device is an alert, until it was seen', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const addresses = await eventually(
		async () => (await server.api(`/api/v1/devices/${agent.id}`)).link?.addresses
	);
	const page = await open(t);
	await signIn(page, server);
	await page.goto(server.url);
	const alert = page.getByRole('link', { name: new RegExp(say('home_refused', { name: 'bench' })) });
	await page.getByRole('heading').first().waitFor();
	assert.equal(await alert.count(), 0);
	await knock(Number(addresses[0].split(':').at(-1)));
	await alert.waitFor();
	await page
		.getByText(say('home_refused_text', { count: 1, from: '127.0.0.1' }), { exact: true })
		.first()
		.waitFor();
	await page.reload();
	await alert.click();
	await page.waitForURL(new RegExp(`/activity\\?.*device=${agent.id}`));
	await page
		.getByRole('main')
		.getByText(/127\.0\.0\.1/)
		.first()
		.waitFor();
	await page.goBack();
	await page
		.getByRole('listitem')
		.filter({ has: alert })
		.getByRole('button', { name: new RegExp(say('home_seen')) })
		.click();
	await alert.waitFor({ state: 'detached' });
	await page.reload();
	await page.getByText(say('home_needs_nothing'), { exact: true }).waitFor();
	assert.equal(await alert.count(), 0);
});

test('wrong passwords are an alert for their address, which says until when it waits, and the activity names each', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await page.goto(server.url);
	await page.getByText(say('home_needs_nothing'), { exact: true }).waitFor();
	const alert = page.getByRole('link', { name: say('home_sign_in_failed', { from: '127.0.0.9' }) });
	for (let tries = 1; tries < 10; tries += 1) assert.equal(await guess(server.url, '127.0.0.9'), 401);
	await alert.getByText(say('home_sign_in_text', { count: 9 }), { exact: true }).waitFor();
	assert.equal(await guess(server.url, '127.0.0.9'), 401);
	assert.equal(await guess(server.url, '127.0.0.9'), 429);
	const waits = say('home_sign_in_waits', { count: 10, time: String.raw`.*\d:\d\d` });
	await alert.getByText(new RegExp(waits)).waitFor();
	await page.reload();
	await alert.click();
	await page.waitForURL(/\/activity\?.*type=failed_sign_ins/);
	const activity = page.getByRole('main');
	const failed = say('activity_sign_in_failed', { name: 'ada' });
	await activity.getByText(say('activity_sign_in_waits', { failed, time: '1\u00a0m' })).waitFor();
	assert.equal(await activity.getByText(failed, { exact: true }).count(), 9);
	await page.goBack();
	await page.getByRole('button', { name: new RegExp(`${say('home_seen')}: .*127.0.0.9`) }).click();
	await alert.waitFor({ state: 'detached' });
	await page.reload();
	await page.getByText(say('home_needs_nothing'), { exact: true }).waitFor();
});
