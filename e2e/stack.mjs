// @ts-check
// The real server and the real agent, on a free port, with data of their own that is gone afterwards.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where `foreman-server` and `foreman-agent` are. */
export const PROGRAMS = resolve(process.env.FOREMAN_PROGRAMS ?? 'target/debug');

/** A program must say what is expected of it within this many milliseconds. */
const PATIENCE = 60_000;

/** Everything started here, so that a test that crashes leaves nothing behind. */
const started = new Set();
process.on('exit', () => {
	for (const child of started) child.kill('SIGKILL');
});

/** The environment of a program: nothing of the caller's Foreman, the programs first in PATH. */
export function environment(extra = {}) {
	const own = Object.entries(process.env).filter(
		([name]) => !/^(FOREMAN_|ALLOW|BLOCKED_|DATABASE_URL)/.test(name)
	);
	return { ...Object.fromEntries(own), PATH: PROGRAMS + delimiter + process.env.PATH, ...extra };
}

/** A started program, what it has said so far, and waiting for what it says. */
export class Program {
	/**
	 * `input: null` leaves its input open, for a program that ends with it.
	 * @param {string} command @param {string[]} args @param {any} [options]
	 */
	constructor(command, args, { env = {}, input = '', ...options } = {}) {
		this.name = command;
		/** @type {string[]} */
		this.lines = [];
		/** @type {Set<() => void>} */
		this.listeners = new Set();
		/** It has ended, and all that it said has been heard. */
		this.over = false;
		this.child = spawn(command, args, { env: environment(env), stdio: 'pipe', ...options });
		started.add(this.child);
		for (const stream of [this.child.stdout, this.child.stderr]) {
			createInterface({ input: stream }).on('line', (line) => {
				this.lines.push(line);
				for (const listener of this.listeners) listener();
			});
		}
		this.ended = once(this.child, 'close').then(([code, signal]) => {
			started.delete(this.child);
			this.over = true;
			for (const listener of this.listeners) listener();
			return { code, signal };
		});
		// It may have ended before it read anything; how it ended says more.
		this.child.stdin.on('error', () => {});
		if (input !== null) this.child.stdin.end(input);
	}

	get running() {
		return this.child.exitCode === null && this.child.signalCode === null;
	}

	/** The first line that matches, as soon as it has been said. @param {RegExp} pattern */
	line(pattern, patience = PATIENCE) {
		return new Promise((answer, refuse) => {
			const settle = (/** @type {() => void} */ how) => {
				clearTimeout(timer);
				this.listeners.delete(look);
				how();
			};
			const look = () => {
				const found = this.lines.map((line) => line.match(pattern)).find(Boolean);
				if (found) settle(() => answer(found));
				else if (this.over) settle(() => refuse(new Error(`${this.name} ended:\n${this.lines.join('\n')}`)));
			};
			const timer = setTimeout(
				() =>
					settle(() => refuse(new Error(`${this.name} never said ${pattern}:\n${this.lines.join('\n')}`))),
				patience
			);
			this.listeners.add(look);
			look();
		});
	}

	/** Ends it and waits until it has. @param {NodeJS.Signals} [signal] */
	async stop(signal = 'SIGTERM') {
		if (this.running) this.child.kill(signal);
		return this.ended;
	}
}

/** @type {WeakMap<object, (() => any)[]>} */
const endings = new WeakMap();

/**
 * Runs at the end of the test, the last one first and all of them even when one fails: a browser closes before the
 * server it looks at.
 * @param {import('node:test').TestContext} test @param {() => any} end
 */
export function atEnd(test, end) {
	const known = endings.get(test);
	if (known) return void known.unshift(end);
	const all = [end];
	endings.set(test, all);
	test.after(async () => {
		const failures = [];
		for (const each of all) {
			try {
				await each();
			} catch (failure) {
				failures.push(failure);
			}
		}
		if (failures.length > 0) throw failures[0];
	});
}

/** A folder that is removed at the end. */
export async function scratch() {
	const path = await mkdtemp(join(tmpdir(), 'foreman-e2e-'));
	return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A server with its data. */
export class Server {
	/** @param {{ data: string, databaseUrl?: string, publicUrl?: string, env?: Record<string, string> }} options */
	constructor({ data, databaseUrl, publicUrl, env }) {
		this.data = data;
		// Measurements each second, so that nobody waits for one.
		this.env = { FOREMAN_HEARTBEAT_S: '1', ...(databaseUrl && { DATABASE_URL: databaseUrl }), ...env };
		this.publicUrl = publicUrl;
		this.listen = '127.0.0.1:0';
		this.url = '';
		/** @type {Program | undefined} */
		this.program = undefined;
		/** @type {string | undefined} */
		this.bearer = undefined;
	}

	/** Starts it, after a stop or a kill at the same address again. */
	async start() {
		const args = ['serve', '--data', this.data, '--listen', this.listen];
		if (this.publicUrl) args.push('--public-url', this.publicUrl);
		const program = new Program(join(PROGRAMS, 'foreman-server'), args, { env: this.env });
		this.program = program;
		const [, url] = await program.line(/^listening on (http:\/\/\S+)/);
		this.url = url;
		this.listen = new URL(url).host;
		return this;
	}

	/** The code that makes the owner; said at the very first start. */
	async setupCode() {
		const [, code] = await /** @type {Program} */ (this.program).line(/^Setup code: (\S+)/);
		return code;
	}

	/** A command of the host's operator. @param {...string} args */
	async host(...args) {
		const { stdout } = await run(join(PROGRAMS, 'foreman-server'), [...args, '--data', this.data], {
			env: environment(this.env)
		});
		return stdout.trim();
	}

	/** An address that signs a browser in, once. @param {string} [base] */
	async loginLink(base = this.publicUrl ?? this.url) {
		const [, ticket] = (await this.host('login-link')).match(/#(ticket=\S+)/) ?? [];
		return `${base}/sign-in#${ticket}`;
	}

	/** The API as a program with an admin's token sees it. @param {string} path @param {RequestInit & { json?: any }} [options] */
	async api(path, { json, ...options } = {}) {
		this.bearer ??= await this.host('token', 'create', '--name', 'journey', '--role', 'admin');
		const response = await fetch(this.url + path, {
			...options,
			method: options.method ?? (json ? 'POST' : 'GET'),
			headers: { authorization: `Bearer ${this.bearer}`, 'content-type': 'application/json' },
			body: json && JSON.stringify(json)
		});
		const text = await response.text();
		if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
		return text && response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
	}

	/** @param {NodeJS.Signals} [signal] */
	async stop(signal) {
		return this.program?.stop(signal);
	}
}

/** An agent with a state folder of its own. */
export class Agent {
	/** @param {{ state: string }} options */
	constructor({ state }) {
		this.state = state;
		/** @type {string | undefined} */
		this.id = undefined;
		/** @type {Program | undefined} */
		this.program = undefined;
	}

	/** Adds a device through the API and joins as it. @param {Server} server @param {string} name @param {string[]} [allow] */
	async join(server, name, allow, more = /** @type {string[]} */ ([])) {
		const made = await server.api('/api/v1/devices', { json: { name, type: 'gpu_compute' } });
		this.id = made.device.id;
		await this.connect(server.publicUrl ?? server.url, made.token, allow, more);
		// It tells a moment later how it is reached and who may.
		await eventually(async () => (await server.api(`/api/v1/devices/${made.device.id}`)).link);
		return this;
	}

	/** Spends a one-time token. @param {string} url @param {string} token @param {string[]} [allow] */
	async connect(url, token, allow = ['bash', 'read', 'logs'], more = /** @type {string[]} */ ([])) {
		const args = ['connect', '--server', url, '--token', '-', '--state', this.state, ...more];
		if (allow.length > 0) args.push('--allow', allow.join(','));
		this.program = new Program(join(PROGRAMS, 'foreman-agent'), args, { input: token });
		await this.program.line(/Listening for tasks/);
		return this;
	}

	/** Goes on after a stop or a kill. */
	async run() {
		this.program = new Program(join(PROGRAMS, 'foreman-agent'), ['run', '--state', this.state]);
		await this.program.line(/Listening for tasks|connected/i);
		return this;
	}

	/** @param {NodeJS.Signals} [signal] */
	async stop(signal) {
		return this.program?.stop(signal);
	}
}

/**
 * Leaves a test out for what the machine lacks, loudly; where nothing may be left out, it fails.
 * @param {import('node:test').TestContext} test @param {string} why
 */
export function leaveOut(test, why) {
	assert.notEqual(process.env.FOREMAN_NO_SKIPS, '1', `nothing may be left out (FOREMAN_NO_SKIPS=1): ${why}`);
	console.error(`SKIPPED: ${test.name}: ${why}`);
	test.skip(why);
}

/**
 * A server, and an agent when asked for, that end with the test.
 * @param {import('node:test').TestContext} test
 * @param {{ device?: string, databaseUrl?: string, publicUrl?: string, env?: Record<string, string> }} [options]
 */
export async function stack(test, { device, ...options } = {}) {
	const folder = await scratch();
	const server = new Server({ data: join(folder.path, 'server'), ...options });
	const agent = new Agent({ state: join(folder.path, 'agent') });
	atEnd(test, async () => {
		if (agent.id && server.program?.running) await endTasks(server, agent.id).catch(() => {});
		await agent.stop();
		await server.stop();
		await folder.remove();
	});
	await server.start();
	if (device) await agent.join(server, device);
	return { server, agent, folder: folder.path };
}

/**
 * A vendor of models on this machine, speaking the published APIs; gives its base address.
 * @param {import('node:test').TestContext} test @param {...string} models
 */
export async function vendor(test, ...models) {
	const program = new Program(join(PROGRAMS, 'model-stub'), models, { input: null });
	atEnd(test, () => program.stop());
	const [, base] = await program.line(/^listening on (http:\/\/\S+)/);
	return base;
}

/** Tasks outlive the agent, so a test stops them before it goes. @param {Server} server @param {string} device */
async function endTasks(server, device) {
	await server.api(`/api/v1/devices/${device}/tasks/stop`, { method: 'POST' });
	await eventually(async () => {
		const { items } = await server.api(`/api/v1/tasks?state=running,queued&device=${device}`);
		return items.length === 0;
	});
}

/** Asks again until the answer is truthy: for facts that come without an announcement. @param {() => Promise<any>} ask */
export async function eventually(ask, patience = 30_000) {
	const until = Date.now() + patience;
	for (;;) {
		const answer = await ask();
		if (answer) return answer;
		if (Date.now() > until) throw new Error(`not within ${patience} ms: ${ask}`);
		await new Promise((next) => setTimeout(next, 50));
	}
}
