// @ts-check
// Devices in networks of their own that reach only the server, driven from the dashboard by somebody who reaches only
// the server, too.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFileSync, chmodSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { CUT_OFF, open, shown, signIn } from './browser.mjs';
import { Agent, PROGRAMS, Program, Server, atEnd, leaveOut, scratch } from './stack.mjs';
import { openTerminal, says, type } from './terminals.mjs';
import { say } from './words.mjs';

const run = promisify(execFile);

const BROWSER = process.env.CHROMIUM || '/usr/bin/chromium';

const SERVER = '10.66.0.1';
/** Who is in the network, each alone with the server. */
const PORTS = { client: '10.66.0.10', one: '10.66.0.11', two: '10.66.0.12', three: '10.66.0.13' };
/** @typedef {keyof typeof PORTS | 'server'} Host */

/** What Chromium reports while the server is away, for answers that are none to it, and of pages without TLS. */
const USUAL = new RegExp(
	`${CUT_OFF.source}|status of (404|503)|WebSocket connection to|Cross-Origin-Opener-Policy header has been ignored`
);

/** Namespaces and the links between them. */
class Network {
	static count = 0;

	constructor() {
		this.prefix = `fm-e2e-${process.pid}-${Network.count++}-`;
	}

	/** @param {Host} host */
	name(host) {
		return this.prefix + host;
	}

	/** How a program is started inside this host. @param {Host} host */
	inside(host) {
		return ['netns', 'exec', this.name(host)];
	}

	/** @param {Host} host @param {string} line */
	ip(host, line) {
		return run('ip', ['-n', this.name(host), ...line.split(' ')]);
	}

	async make() {
		for (const host of /** @type {Host[]} */ (['server', ...Object.keys(PORTS)])) {
			await run('ip', ['netns', 'add', this.name(host)]);
			await this.ip(host, 'link set lo up');
		}
		await this.ip('server', 'link add wan type bridge');
		await this.ip('server', `addr add ${SERVER}/24 dev wan`);
		await this.ip('server', 'link set wan up');
		for (const [key, address] of Object.entries(PORTS)) {
			const host = /** @type {Host} */ (key);
			await this.ip('server', `link add p-${host} type veth peer name wan netns ${this.name(host)}`);
			await this.ip('server', `link set p-${host} master wan up`);
			// Isolated ports reach the bridge itself, the server, and not each other.
			await this.ip('server', `link set p-${host} type bridge_slave isolated on`);
			await this.ip(host, `addr add ${address}/24 dev wan`);
			await this.ip(host, 'link set wan up');
		}
	}

	async remove() {
		for (const host of /** @type {Host[]} */ (['server', ...Object.keys(PORTS)])) {
			await run('ip', ['netns', 'del', this.name(host)]).catch(() => {});
		}
	}
}

/** A server that only its network reaches. */
class FarServer extends Server {
	/** @param {Network} network @param {string} data */
	constructor(network, data) {
		super({ data });
		this.network = network;
		this.listen = '0.0.0.0:0';
	}

	async start() {
		const serve = [join(PROGRAMS, 'foreman-server'), 'serve', '--data', this.data, '--listen', this.listen];
		this.program = new Program('ip', [...this.network.inside('server'), ...serve], { env: this.env });
		const [, port] = await this.program.line(/^listening on http:\/\/\S+:(\d+)/);
		this.listen = `0.0.0.0:${port}`;
		this.url = `http://${SERVER}:${port}`;
		return this;
	}

	/** @param {string} path @param {{ json?: any }} [options] */
	async api(path, { json } = {}) {
		this.bearer ??= await this.host('token', 'create', '--name', 'journey', '--role', 'admin');
		const curl = ['curl', '--silent', '--show-error', '--fail-with-body', this.url + path];
		curl.push('--header', `Authorization: Bearer ${this.bearer}`);
		if (json) curl.push('--json', JSON.stringify(json));
		const { stdout } = await run('ip', [...this.network.inside('client'), ...curl]);
		return JSON.parse(stdout);
	}
}

/** An agent in a network of its own. */
class FarAgent extends Agent {
	/** @param {Network} network @param {Host} host @param {string} state */
	constructor(network, host, state) {
		super({ state });
		this.network = network;
		this.host = host;
	}

	/** @param {string} url @param {string} token @param {string[]} [allow] @param {string[]} [more] */
	async connect(url, token, allow = ['bash', 'read', 'logs'], more = []) {
		const connect = [join(PROGRAMS, 'foreman-agent'), 'connect', '--server', url, '--token', '-'];
		connect.push('--state', this.state, '--allow', allow.join(','), ...more);
		this.program = new Program('ip', [...this.network.inside(this.host), ...connect], { input: token });
		await this.program.line(/Listening for tasks/);
		return this;
	}
}

/**
 * A server, and a browser that is signed in to it from a network of its own; `undefined` where networks cannot be made.
 * @param {import('node:test').TestContext} test
 */
async function apart(test) {
	const network = new Network();
	const folder = await scratch();
	const server = new FarServer(network, join(folder.path, 'server'));
	/** @type {FarAgent[]} */
	const agents = [];
	atEnd(test, async () => {
		await Promise.all(agents.map((agent) => agent.stop()));
		await server.stop();
		await network.remove();
		await folder.remove();
	});
	try {
		await network.make();
	} catch (failure) {
		leaveOut(test, `network namespaces cannot be made here: ${failure}`);
		return undefined;
	}
	await server.start();

	const browser = join(folder.path, 'chromium');
	writeFileSync(browser, `#!/bin/sh\nexec ip ${network.inside('client').join(' ')} '${BROWSER}' "$@"\n`);
	chmodSync(browser, 0o755);
	process.env.CHROMIUM = browser;
	const page = await open(test, { expectErrors: USUAL });
	await signIn(page, server);

	/** The address of a device that joined in this host. @param {Host} host @param {string[]} more */
	const device = async (host, ...more) => {
		const agent = new FarAgent(network, host, join(folder.path, host));
		agents.push(agent);
		await agent.join(server, host, undefined, more);
		return `${server.url}/devices/${agent.id}`;
	};
	return { network, server, page, folder: folder.path, device };
}

/** All that the page holds of the terminal, by its own menu. @param {import('playwright-core').Page} page */
async function everything(page) {
	await page.getByRole('button', { name: /^Actions for terminal/ }).click();
	await page.getByRole('menuitem', { name: say('terminal_text') }).click();
	return page.getByRole('region', { name: say('terminal_text') }).innerText();
}

test('devices that reach only the server are used from the dashboard', async (t) => {
	const scene = await apart(t);
	if (!scene) return;
	const { page, folder } = scene;
	const [one, two] = [await scene.device('one'), await scene.device('two')];
	for (const [device, address] of [
		[one, PORTS.one],
		[two, PORTS.two]
	]) {
		await openTerminal(page, `${device}/terminal`);
		await type(page, 'echo $((6*7)) from $(hostname -I)');
		await says(page, `42 from ${address}`);
	}

	writeFileSync(join(folder, 'notes.md'), '# Notes\n\nwritten far away\n');
	await page.goto(`${two}/files?${new URLSearchParams({ path: folder })}`);
	await page
		.getByRole('list', { name: say('files_in', { name: basename(folder) }) })
		.getByRole('link', { name: 'notes.md' })
		.click();
	await page
		.getByRole('region', { name: say('files_content') })
		.getByText('written far away')
		.waitFor();

	const file = join(folder, 'robot.log');
	writeFileSync(file, 'INFO ready\n');
	await page.goto(`${one}/logs?${new URLSearchParams({ source: `file:${file}` })}`);
	const log = page.getByRole('log', { name: say('logs_lines') });
	await log.getByText('INFO ready').waitFor();
	appendFileSync(file, 'INFO moving\n');
	await log.getByText('INFO moving').waitFor();

	const three = await scene.device('three', '--dashboard', 'none');
	for (const [tool, level] of [
		['terminal', 'operate'],
		['files', 'view'],
		['logs', 'view']
	]) {
		await page.goto(`${three}/${tool}`);
		await page.getByRole('heading', { name: say('reach_not_trusted', { name: 'three' }) }).waitFor();
		await shown(page, new RegExp(`foreman-agent trust dashboard ${level}`)).waitFor();
	}
});

const LINES = 600;

/**
 * A terminal counts while its way is cut, and no line is lost or doubled.
 * @param {import('node:test').TestContext} t
 * @param {(scene: NonNullable<Awaited<ReturnType<typeof apart>>>) => Promise<unknown>} cut
 * @param {(scene: NonNullable<Awaited<ReturnType<typeof apart>>>) => Promise<unknown>} mend
 */
async function counted(t, cut, mend) {
	const scene = await apart(t);
	if (!scene) return;
	const { page } = scene;
	await openTerminal(page, `${await scene.device('one')}/terminal`);
	await type(
		page,
		`clear; i=0; while [ $i -lt ${LINES} ]; do echo line-$i; i=$((i+1)); sleep 0.02; done; echo that is all`
	);
	// Only what is in view is in the page: a certain line may have come and gone.
	await says(page, /^line-([5-9]\d|\d{3,})$/);
	await cut(scene);
	const waits = page
		.locator('main')
		.getByText(/^reconnecting since/)
		.first();
	await waits.waitFor({ timeout: 60_000 });
	await mend(scene);
	await page
		.locator('.xterm-rows')
		.getByText(/^that is all$/)
		.first()
		.waitFor({ timeout: 90_000 });
	const lines = (await everything(page)).split('\n').map((line) => line.trim());
	assert.deepEqual(
		lines.filter((line) => /^line-\d+$/.test(line)),
		Array.from({ length: LINES }, (_, number) => `line-${number}`)
	);
}

test('a killed server costs a terminal that counts no line', (t) =>
	counted(
		t,
		({ server }) => server.stop('SIGKILL'),
		({ server }) => server.start()
	));

test('a network that goes down under a terminal that counts costs no line', (t) =>
	counted(
		t,
		({ network }) => network.ip('server', 'link set p-one down'),
		({ network }) => network.ip('server', 'link set p-one up')
	));
