// @ts-check
// A machine joins by the command the dashboard shows, and is seen as it truly is.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { cpus, hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { go, open, signIn } from './browser.mjs';
import { Program, atEnd, eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** Makes a device in the dialogue and returns the command it shows for a machine that has the agent. */
async function commandFor(/** @type {import('playwright-core').Page} */ page, /** @type {string} */ name) {
	await page
		.getByRole('link', { name: say('add_device'), exact: true })
		.first()
		.click();
	const form = page.getByRole('dialog', { name: say('add_device_title') });
	await form.getByLabel(say('device_name')).fill(name);
	await form.getByRole('button', { name: say('add_device_make') }).click();
	const dialog = page.getByRole('dialog', { name: say('add_device_command_title', { name }) });
	await dialog.getByText(say('add_device_installed'), { exact: true }).click();
	const command = await dialog.getByRole('textbox', { name: say('add_device_command') }).innerText();
	return { dialog, command };
}

test('the command that is shown connects a machine, and each step appears when it is true', async (t) => {
	const { server, folder } = await stack(t);
	const page = await open(t, { expectErrors: /status of (401|503)|ERR_INCOMPLETE_CHUNKED/ });
	await signIn(page, server);
	await go(page, 'nav_devices');
	const { dialog, command } = await commandFor(page, 'workbench');
	assert.match(command, /^FOREMAN_TOKEN=\S+ foreman-agent connect --server \S+ --allow bash,read,logs$/);
	const steps = dialog.getByRole('list', { name: say('add_device_progress') });
	await steps.getByText(say('add_device_step_wait')).waitFor();
	await dialog.getByRole('button', { name: say('add_device_qr_show') }).click();
	await dialog.getByRole('img', { name: say('add_device_qr') }).waitFor();

	const state = join(folder, 'agent');
	const agent = new Program('sh', ['-c', `exec env ${command}`], { env: { FOREMAN_AGENT_STATE: state } });
	atEnd(t, () => agent.stop());
	await agent.line(/✓ Authenticated/);
	await agent.line(/Listening for tasks/);
	for (const key of ['add_device_step_connected', 'add_device_step_facts', 'add_device_step_sample']) {
		await steps.getByText(say(key)).waitFor();
	}
	await dialog.getByRole('button', { name: say('add_device_open') }).click();
	await page.getByRole('heading', { name: 'workbench' }).first().waitFor();

	// True, and live: this machine's own numbers.
	const { items } = await server.api('/api/v1/devices');
	assert.equal(items[0].status, 'online');
	assert.equal(items[0].capabilities.hostname, hostname());
	assert.equal(items[0].capabilities.cpu.logical_cores, cpus().length);
	assert.ok(Math.abs(items[0].latest.memory_total - totalmem()) < totalmem() * 0.01);
	await page.getByText(hostname(), { exact: true }).first().waitFor();
	await page.getByText(items[0].capabilities.os).first().waitFor();

	// The token is spent.
	const again = new Program('sh', ['-c', `exec env ${command}`], {
		env: { FOREMAN_AGENT_STATE: join(folder, 'other') }
	});
	assert.notEqual((await again.ended).code, 0);
});

test('cards tell the state and follow it: waiting, online, offline, back', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench', env: { FOREMAN_OFFLINE_AFTER_S: '6' } });
	await server.api('/api/v1/devices', { json: { name: 'later', type: 'inference' } });
	const page = await open(t);
	await signIn(page, server);
	await go(page, 'nav_devices');
	const card = (/** @type {string} */ name) =>
		page.getByRole('listitem').filter({ has: page.getByRole('heading', { name }) });
	await card('later').getByText(say('device_never_connected')).waitFor();
	await card('bench').getByText(say('device_status_online'), { exact: true }).waitFor();
	await card('bench').getByText(/\d\s%/).first().waitFor();

	// Where there is room for all filters they are one line, also where there is just enough.
	for (const width of [1440, 1180, 1100]) {
		await page.setViewportSize({ width, height: 800 });
		const views = page.getByRole('group', { name: say('devices_view') });
		await eventually(async () => ((await views.boundingBox())?.height ?? 48) < 48);
	}

	await agent.stop('SIGKILL');
	await card('bench').getByText(say('device_offline_since')).waitFor();
	await agent.run();
	await card('bench').getByText(say('device_status_online'), { exact: true }).waitFor();
	const { items } = await server.api('/api/v1/audit?type=device.o');
	assert.deepEqual(
		items.map((/** @type {any} */ event) => event.type),
		['device.online', 'device.offline']
	);
});

test('a device’s page says what the device allows, and follows its file', async (t) => {
	const { server, agent, folder } = await stack(t);
	await agent.join(server, 'bench', ['read']);
	const page = await open(t);
	await signIn(page, server);
	await page.goto(`${server.url}/devices/${agent.id}`);
	const rules = page.getByRole('region', { name: say('device_page_policy'), exact: true });
	const rule = (/** @type {string} */ name, /** @type {string} */ word) =>
		rules.getByRole('listitem').filter({ hasText: name }).getByText(say(word), { exact: true });
	await rule('ALLOW_FILE_READ', 'device_page_policy_allowed').waitFor();
	for (const name of ['ALLOW_BASH', 'ALLOW_FILE_WRITE', 'ALLOW_LOGS'])
		await rule(name, 'device_page_policy_forbidden').waitFor();
	await rules.getByText(say('device_page_policy_paths_all'), { exact: true }).waitFor();
	await rules.getByText(say('device_page_policy_blocked_none'), { exact: true }).waitFor();

	// Its agent runs on: to start it again would end the terminals there.
	const [allowed, blocked] = [join(folder, 'work'), join(folder, 'work/secret')];
	await writeFile(
		join(agent.state, 'policy.env'),
		`ALLOW_BASH=true\nALLOW_FILE_READ=false\nALLOWED_PATHS=${allowed}\nBLOCKED_PATHS=${blocked}\n`
	);
	await rule('ALLOW_BASH', 'device_page_policy_allowed').waitFor();
	await rule('ALLOW_FILE_READ', 'device_page_policy_forbidden').waitFor();
	await rules.getByText(allowed, { exact: true }).waitFor();
	await rules.getByText(blocked, { exact: true }).waitFor();
});

test('a device’s page has what it measures each second while somebody looks, whatever its heartbeat', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench', env: { FOREMAN_HEARTBEAT_S: '60' } });
	const page = await open(t);
	await signIn(page, server);
	const network = await page.context().newCDPSession(page);
	await network.send('Network.enable');
	/** Pieces of each stream of measurements, and whether it is open. @type {Map<string, { pieces: number, open: boolean }>} */
	const streams = new Map();
	network.on('Network.requestWillBeSent', ({ requestId, request }) => {
		if (request.url.endsWith(`/devices/${agent.id}/link/metrics`))
			streams.set(requestId, { pieces: 0, open: true });
	});
	network.on('Network.dataReceived', ({ requestId }) => {
		const stream = streams.get(requestId);
		if (stream) stream.pieces += 1;
	});
	network.on('Network.loadingFailed', ({ requestId }) => {
		const stream = streams.get(requestId);
		if (stream) stream.open = false;
	});
	const running = () => [...streams.values()].filter((stream) => stream.open);
	await page.goto(`${server.url}/devices/${agent.id}`);
	// Four come in a few seconds, where the device's heartbeat takes a minute.
	await eventually(async () => running().some(({ pieces }) => pieces >= 4));
	assert.equal(running().length, 1);
	const look = (/** @type {string} */ state) =>
		page.evaluate((state) => {
			Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
			document.dispatchEvent(new Event('visibilitychange'));
		}, state);
	await look('hidden');
	await eventually(async () => running().length === 0);
	await look('visible');
	await eventually(async () => running().some(({ pieces }) => pieces >= 1));
});

test('a deleted device is gone everywhere, and its agent stops', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await go(page, 'nav_devices');
	await page.getByRole('button', { name: say('device_actions', { name: 'bench' }) }).click();
	await page.getByRole('menuitem', { name: say('device_disconnect') }).click();
	const question = page.getByRole('alertdialog').or(page.getByRole('dialog'));
	await question.getByRole('button', { name: say('device_disconnect'), exact: true }).click();
	await page.getByText(say('devices_empty_title')).waitFor();
	assert.equal((await /** @type {Program} */ (agent.program).ended).code, 0);
	await eventually(async () => (await server.api('/api/v1/devices')).items.length === 0);
});
