// @ts-check
// A program on this computer is signed in by the browser: what the page says, that it never answers by itself, and where
// the answer goes.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { DESKTOP, open, PHONE, signIn, violations } from './browser.mjs';
import { atEnd, stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

const NO_HANDLER = /status of (401|422)|registered handler|Failed to launch/;
const NAME = 'foreman on laptop';

/** A program that waits on a port of this machine, as a command line does. @param {import('node:test').TestContext} t */
async function program(t) {
	/** @type {string[]} */
	const heard = [];
	const listener = createServer((asked, answer) => {
		heard.push(asked.url ?? '');
		answer.end('<!doctype html><title>Back</title><h1>Back in the terminal</h1>');
	}).listen(0, '127.0.0.1');
	await new Promise((on) => listener.once('listening', on));
	atEnd(t, () => {
		listener.closeAllConnections();
		listener.close();
	});
	const { port } = /** @type {import('node:net').AddressInfo} */ (listener.address());
	return { heard, port, redirect_uri: `http://127.0.0.1:${port}/signed-in` };
}

const verifier = randomBytes(32).toString('base64url');

/** @param {import('./stack.mjs').Server} server @param {Record<string, string>} [changed] */
function page(server, changed = {}) {
	const asked = {
		response_type: 'code',
		client_id: 'foreman-app',
		redirect_uri: 'foreman://signed-in',
		state: 'a state of its own',
		code_challenge: createHash('sha256').update(verifier).digest('base64url'),
		code_challenge_method: 'S256',
		client_name: NAME,
		...changed
	};
	return `${server.url}/authorize?${new URLSearchParams(asked)}`;
}

test('a command line is signed in by a person, not by the address alone', async (t) => {
	const { server } = await stack(t);
	const { heard, port, redirect_uri } = await program(t);
	const address = page(server, { client_id: 'foreman-cli', redirect_uri, scope: 'viewer' });
	const tab = await open(t, { expectErrors: NO_HANDLER });
	// Whoever is not signed in does that first and comes back here.
	const ticket = (await server.loginLink()).split('#')[1];
	await tab.goto(address);
	await tab.getByRole('heading', { name: say('sign_in_title') }).waitFor();
	await tab.evaluate((ticket) => (location.hash = ticket), ticket);
	await tab.getByRole('heading', { name: say('link_asks', { name: NAME }) }).waitFor();
	await tab.waitForURL((url) => url.href === address);
	await tab.getByText(say('authorize_command_line'), { exact: true }).waitFor();
	await tab.getByText(say('authorize_returns_port', { port })).waitFor();
	await tab.getByText(redirect_uri, { exact: true }).waitFor();
	await tab.getByText(new URL(server.url).host, { exact: true }).waitFor();
	assert.equal(await tab.getByLabel(say('link_may')).inputValue(), 'viewer');
	await tab.reload();
	await tab.getByRole('button', { name: say('authorize_allow') }).waitFor();
	assert.deepEqual(heard, [], 'nothing is answered by opening it, the second time neither');

	await tab.getByRole('button', { name: say('authorize_allow') }).click();
	await tab.getByRole('heading', { name: 'Back in the terminal' }).waitFor();
	const back = new URL(heard[0], redirect_uri).searchParams;
	assert.equal(back.get('state'), 'a state of its own');
	assert.equal(back.get('iss'), server.url);
	const exchanged = await fetch(`${server.url}/api/v1/auth/token`, {
		method: 'POST',
		body: new URLSearchParams({
			grant_type: 'authorization_code',
			code: back.get('code') ?? '',
			redirect_uri,
			client_id: 'foreman-cli',
			code_verifier: verifier
		})
	});
	const token = await exchanged.json();
	assert.equal(token.scope, 'viewer');
	const me = await fetch(`${server.url}/api/v1/session`, {
		headers: { authorization: `Bearer ${token.access_token}` }
	});
	assert.equal((await me.json()).name, NAME);

	// It is among the tokens, and is taken back there.
	await tab.goto(`${server.url}/settings/tokens`);
	await tab.getByText(NAME).first().waitFor();
});

test('the app is led back by its link, and told of a no', async (t) => {
	const { server } = await stack(t);
	const first = await open(t, { expectErrors: NO_HANDLER });
	await signIn(first, server);
	// A tab that was led to a link of the system hears no pointer any more, where nobody takes such links.
	let tab = await first.context().newPage();
	await tab.goto(page(server));
	await tab.getByText(say('authorize_app'), { exact: true }).waitFor();
	await tab.getByRole('button', { name: say('authorize_allow') }).click();
	await tab.getByRole('heading', { name: say('authorize_allowed') }).waitFor();
	const back = await tab.getByRole('link', { name: say('authorize_back') }).getAttribute('href');
	assert.match(back ?? '', /^foreman:\/\/signed-in\?code=fmb_[\w-]+&state=a\+state\+of\+its\+own&iss=http/);

	tab = await first.context().newPage();
	await tab.goto(page(server, { state: 'two' }));
	await tab.getByRole('button', { name: say('link_deny') }).click();
	await tab.getByRole('heading', { name: say('link_denied') }).waitFor();
	const no = await tab.getByRole('link', { name: say('authorize_back') }).getAttribute('href');
	assert.match(no ?? '', /^foreman:\/\/signed-in\?error=access_denied&state=two&iss=http/);

	// Another account: out, in, and back to the same question.
	tab = await first.context().newPage();
	await tab.goto(page(server, { state: 'three' }));
	await tab.getByRole('button', { name: say('authorize_other') }).click();
	await tab.getByRole('heading', { name: say('sign_in_title') }).waitFor();
	await tab.waitForURL(/next=%2Fauthorize/);
});

test('a forged request leads nowhere, and a wrong one back with its reason', async (t) => {
	const { server } = await stack(t);
	const { heard, redirect_uri } = await program(t);
	const tab = await open(t, { expectErrors: NO_HANDLER });
	await signIn(tab, server);
	const forged = [
		page(server, { redirect_uri }),
		page(server, { client_id: 'foreman-cli', redirect_uri: redirect_uri.replace('127.0.0.1', 'localhost') }),
		page(server, { client_id: 'somebody', redirect_uri }),
		page(server, { redirect_uri: 'javascript:alert(1)' }),
		`${page(server)}&redirect_uri=${encodeURIComponent(redirect_uri)}`
	];
	for (const address of forged) {
		await tab.goto(address);
		await tab.getByRole('heading', { name: say('authorize_unknown') }).waitFor();
		assert.equal(await tab.getByRole('button', { name: say('authorize_allow') }).count(), 0, address);
	}
	assert.deepEqual(heard, []);
	const plain = { client_id: 'foreman-cli', redirect_uri, code_challenge_method: 'plain' };
	await tab.goto(page(server, plain));
	await tab.getByRole('heading', { name: 'Back in the terminal' }).waitFor();
	assert.match(heard[0], /^\/signed-in\?error=invalid_request&state=/);
});

test('the page can be used by everybody: both sizes, both themes, both languages', async (t) => {
	const { server } = await stack(t);
	for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
		for (const [colorScheme, language] of /** @type {const} */ ([
			['light', 'en'],
			['dark', 'de']
		])) {
			const tab = await open(t, {
				...shape,
				colorScheme,
				locale: language === 'de' ? 'de-DE' : 'en-GB',
				expectErrors: NO_HANDLER
			});
			const words = catalogue(language);
			await signIn(tab, server);
			const look = async (/** @type {string} */ name, /** @type {string} */ heading) => {
				await tab.getByRole('heading', { name: heading }).waitFor();
				assert.deepEqual(await violations(tab), [], `${size} ${language} ${name}`);
				const tooWide = await tab.evaluate(
					() => document.documentElement.scrollWidth - document.documentElement.clientWidth
				);
				assert.ok(tooWide <= 0, `${size} ${language} ${name}: ${tooWide} px too wide`);
				await tab.screenshot({ path: `test-results/authorize-${name}-${size}-${language}.png` });
			};
			await tab.goto(
				page(server, { client_id: 'foreman-cli', redirect_uri: 'http://127.0.0.1:41234/signed-in' })
			);
			await look('asks', say('link_asks', { name: NAME }, words));
			await tab.goto(page(server, { client_id: 'somebody' }));
			await look('unknown', say('authorize_unknown', {}, words));
			await tab.goto(page(server));
			await tab.getByRole('button', { name: say('authorize_allow', {}, words) }).focus();
			await tab.keyboard.press('Enter');
			await look('allowed', say('authorize_allowed', {}, words));
		}
	}
});
