// @ts-check
// Whom a device's owners let in, on its page: each right as it is given by the command line, and as it is taken back.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { DESKTOP, PHONE, open, settled, signIn, violations } from './browser.mjs';
import { PROGRAMS, environment, stack } from './stack.mjs';
import { say } from './words.mjs';

const run = promisify(execFile);

/** Also what a page asks of a device that is away, and the stream that ends with it. */
const AWAY = /401|503|ERR_INCOMPLETE_CHUNKED_ENCODING/;

test('rights that owners give and take back are on the device’s page at once', async (t) => {
	const { server, agent, folder } = await stack(t);
	const home = {
		XDG_CONFIG_HOME: join(folder, 'config'),
		XDG_DATA_HOME: join(folder, 'data'),
		FOREMAN_NO_MDNS: 'true'
	};
	/** @param {string[]} args */
	const foreman = async (...args) => {
		const { stdout } = await run(join(PROGRAMS, 'foreman'), ['--json', ...args], { env: environment(home) });
		return JSON.parse(stdout);
	};
	const { owner, client } = await foreman('keys');
	await agent.join(server, 'bench', undefined, ['--owner', owner, '--link-listen', '127.0.0.1:0']);
	const token = await server.host('token', 'create', '--name', 'owner', '--role', 'owner');
	Object.assign(home, { FOREMAN_URL: server.url, FOREMAN_TOKEN: token });

	const pages = [];
	for (const look of [
		{ ...DESKTOP, colorScheme: /** @type {const} */ ('dark') },
		{ ...PHONE, colorScheme: /** @type {const} */ ('light') }
	]) {
		const page = await open(t, { ...look, expectErrors: AWAY });
		await signIn(page, server);
		await page.goto(`${server.url}/devices/${agent.id}`);
		const access = page.getByRole('region', { name: say('access_title') });
		await access.getByText(say('access_grants_none'), { exact: true }).waitFor();
		pages.push({ page, access });
	}

	const name = 'Mia’s phone, the one with the cracked glass and the green cover';
	const { grant } = await foreman('grant', 'bench', '--client', client, '--name', name, '--level', 'view');
	await foreman('grant', 'bench', '--client', client, '--name', 'Ben', '--level', 'operate');
	for (const { page, access } of pages) {
		const right = (/** @type {string} */ of) => access.getByRole('listitem').filter({ hasText: of });
		await right(name).getByText(say('access_level_view'), { exact: true }).waitFor();
		await right(name)
			.getByText(new RegExp(say('access_until')))
			.waitFor();
		await right('Ben').getByText(say('access_level_operate'), { exact: true }).waitFor();
		await settled(page);
		assert.deepEqual(await violations(page), []);
	}

	// The device is away: it is asked, and has not said that it holds.
	await agent.stop();
	await run(join(PROGRAMS, 'foreman'), ['revoke', 'bench', '--grant', grant.id], { env: environment(home) });
	for (const { access } of pages) {
		const right = access.getByRole('listitem').filter({ hasText: name });
		await right.getByText(new RegExp(say('access_revoke_asked'))).waitFor();
		await right.getByText(new RegExp(say('access_until'))).waitFor();
	}
	await agent.run();
	for (const { page, access } of pages) {
		// Who was let in no more stands behind who is.
		const last = access.getByRole('listitem').last();
		await last.getByText(new RegExp(say('access_revoked'))).waitFor();
		await last.getByText(name).waitFor();
		const ben = access.getByRole('listitem').filter({ hasText: 'Ben' });
		await ben.getByText(new RegExp(say('access_until'))).waitFor();
		await access.scrollIntoViewIfNeeded();
		await page.screenshot({ path: `test-results/grants-${page.viewportSize()?.width}.png` });
	}
});
