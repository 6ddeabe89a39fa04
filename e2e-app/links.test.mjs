// @ts-check
// Links of the system to the app: pairing with a confirmation, hostile ones, one instance, a start by link.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { atEnd, scratch, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { approve, enter, shownCode } from './enter.mjs';
import { passing } from './proxy.mjs';

const run = promisify(execFile);

/**
 * The server behind TLS with a certificate that its own authority signed, as a proxy in front of it would have. It may be
 * named later, when it has to know the address.
 * @param {import('node:test').TestContext} test @param {{ url: string }} server
 */
async function behindTls(test, server) {
	const folder = await scratch();
	atEnd(test, folder.remove);
	const at = (/** @type {string} */ name) => join(folder.path, name);
	const ssl = (/** @type {string[]} */ ...args) => run('openssl', args);
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
	await ssl(
		'req',
		'-x509',
		...key,
		'-keyout',
		at('ca.key'),
		'-out',
		at('ca.pem'),
		'-days',
		'2',
		'-subj',
		'/CN=Test'
	);
	const names = ['-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=CA:FALSE'];
	const issuer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key')];
	const leaf = ['-keyout', at('key.pem'), '-out', at('cert.pem'), '-days', '2', '-subj', '/CN=localhost'];
	await ssl('req', '-x509', ...key, ...issuer, ...leaf, ...names);
	const [certificate, secret] = await Promise.all([readFile(at('cert.pem')), readFile(at('key.pem'))]);
	const proxy = createServer({ cert: certificate, key: secret }, passing(server)).listen(0, '127.0.0.1');
	await new Promise((on) => proxy.once('listening', on));
	atEnd(test, () => {
		proxy.closeAllConnections();
		proxy.close();
	});
	const { port } = /** @type {import('node:net').AddressInfo} */ (proxy.address());
	const fingerprint = createHash('sha256').update(new X509Certificate(certificate).raw).digest('hex');
	return { url: `https://localhost:${port}`, authority: at('ca.pem'), fingerprint };
}

/** @param {string} url @param {string} [fingerprint] */
const pairing = (url, fingerprint) =>
	`foreman://pair?server=${encodeURIComponent(url)}${fingerprint ? `&fingerprint=${fingerprint}` : ''}`;

test('a pairing link is only shown: nothing is sent before a person agrees, a wrong fingerprint stops it, a second start hands it over', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const secure = await behindTls(t, server);
	const desk = await Desk.of(t, { env: { SSL_CERT_FILE: secure.authority } });
	const window = await desk.open();
	await window.text(say('app_welcome'));

	const other = secure.fingerprint.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
	const handed = desk.launch([pairing(secure.url, other)]);
	assert.equal((await handed.ended).code, 0, 'the second start ends by itself');
	await window.text(say('problem_other_certificate'));
	await desk.keep('other-certificate');
	await desk.alone();

	await desk.launch([pairing(secure.url, secure.fingerprint)]).ended;
	await window.text(say('app_confirm'));
	await window.text(say('app_confirm_as_linked'));
	await desk.keep('pairing');
	const { items } = await server.api('/api/v1/tokens?limit=200');
	assert.ok(!items.some((/** @type {any} */ token) => token.name.startsWith('Foreman on ')));
	await window.press(say('app_sign_in_code'));
	await approve(server, await shownCode(window));
	await window.text('forge');
});

test('what Settings shows to bring another app to the server leads there, and names its certificate', async (t) => {
	const behind = { url: '' };
	const secure = await behindTls(t, behind);
	const { server } = await stack(t, { publicUrl: secure.url });
	behind.url = server.url;
	const desk = await Desk.of(t, { env: { SSL_CERT_FILE: secure.authority } });
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/server');
	const link = await window.until(
		`return [...document.querySelectorAll('[role=textbox]')].map((it) => it.textContent.trim()).find((it) => it.startsWith('foreman://'))`
	);
	assert.equal(link, pairing(secure.url, secure.fingerprint));
	await window.until(
		`return !!document.querySelector('svg[aria-label="' + arguments[0] + '"] path')`,
		say('app_link_qr')
	);
	await desk.keep('add-to-app');

	await desk.launch([link]).ended;
	await window.text(say('app_confirm'));
	await window.text(secure.url);
	await window.text(secure.fingerprint.toUpperCase().slice(0, 4));
	await window.text(say('app_confirm_as_linked'));
});

test('a start by link leads to the question; a link to a page opens it, and hostile ones nothing', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	const window = await desk.open([pairing(server.url)]);
	await window.text(say('app_confirm'));
	await window.text(say('app_confirm_here'));
	await window.press(say('app_sign_in_code'));
	await approve(server, await shownCode(window));
	await window.text('forge');
	await desk.launch(['foreman://open/link?code=ABCD-EFGH']).ended;
	await desk.launch(['foreman://pair?server=javascript:alert(1)']).ended;
	await desk.launch([`foreman://open/devices/${agent.id}`]).ended;
	await window.until('return location.pathname === arguments[0]', `/devices/${agent.id}`);
});

test('two servers stand side by side, and each shows its own', async (t) => {
	const [one, two] = [await stack(t, { device: 'forge' }), await stack(t, { device: 'anvil' })];
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, one.server);
	await window.text('forge');
	await window.go('/settings/servers');
	await window.press(say('app_add'));
	await window.fill(say('app_address'), two.server.url);
	await window.press(say('app_look'));
	await window.press(say('app_sign_in_code'));
	await approve(two.server, await shownCode(window));
	await window.text('anvil');
	await window.until("return !document.body.innerText.includes('forge')");
	await window.go('/settings/servers');
	await desk.keep('servers');
	await window.press(say('app_show'));
	await window.text('forge');
	await window.until("return !document.body.innerText.includes('anvil')");
});
