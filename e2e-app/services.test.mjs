// @ts-check
// This computer's server and agent as services that go on without the app, under a real systemd of one user.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
	copyFile,
	mkdir,
	readdir,
	readFile,
	readlink,
	rename,
	rm,
	symlink,
	writeFile
} from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { atEnd, environment, eventually, PROGRAMS, scratch } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { leave, setUpHere } from './enter.mjs';
import { standInForLogind, UserSystemd } from './user-systemd.mjs';

const run = promisify(execFile);

const NAMES = ['server', 'agent'];
const SERVICES = ['foreman-server-app', 'foreman-agent-app'];
const NONE = 'no systemd of one user can run here: that takes root, or a system that gives cgroups away';

/** Leaves a test out, where everybody sees it. @param {import('node:test').TestContext} t */
function leaveOut(t) {
	console.error(`SKIPPED: ${t.name}: ${NONE}`);
	t.skip(NONE);
}

/** Whether a process runs. @param {number} pid */
const runs = (pid) => existsSync(`/proc/${pid}/exe`);

/** A desk whose app was unpacked into a folder that is gone after an update, and the systemd of its user. */
class Home {
	/** @param {import('node:test').TestContext} t @param {{ systemd?: boolean }} [options] */
	static async of(t, { systemd = true } = {}) {
		const folder = await scratch();
		atEnd(t, folder.remove);
		await standInForLogind(folder.path);
		const programs = join(folder.path, 'app');
		await mkdir(join(folder.path, 'app-1'));
		for (const name of NAMES)
			await symlink(join(PROGRAMS, `foreman-${name}`), join(folder.path, 'app-1', `foreman-${name}`));
		await symlink('app-1', programs);
		const PATH = folder.path + delimiter + process.env.PATH;
		const desk = await Desk.of(t, { env: { PATH, FOREMAN_PROGRAMS: programs } });
		const system = systemd ? await UserSystemd.of(t, desk.env) : undefined;
		return new Home(desk, folder.path, system);
	}

	/** @param {Desk} desk @param {string} unpacked @param {UserSystemd | undefined} systemd */
	constructor(desk, unpacked, systemd) {
		this.desk = desk;
		this.unpacked = unpacked;
		this.systemd = systemd;
		this.folder = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/this-computer');
		this.units = join(desk.env.XDG_CONFIG_HOME, 'systemd/user');
		/** @type {string | undefined} */
		this.url = undefined;
		/** @type {string | undefined} */
		this.bearer = undefined;
	}

	/** The app's window, with this computer set up. */
	async begin() {
		const window = await this.desk.open();
		await setUpHere(window);
		return window;
	}

	/** The processes beside the app; nothing where there are none. @returns {Promise<number[] | undefined>} */
	async beside() {
		const found = NAMES.map((name) => readFile(join(this.folder, `${name}.pid`), 'utf8').then(Number));
		const pids = await Promise.all(found).catch(() => undefined);
		return pids?.every(runs) ? pids : undefined;
	}

	/** The services' processes. */
	async pids(/** @type {readonly number[]} */ others = []) {
		const { systemd } = this;
		assert.ok(systemd);
		return eventually(async () => {
			const pids = await Promise.all(SERVICES.map((name) => systemd.pid(name)));
			if (!pids.every((pid) => pid && !others.includes(pid))) return false;
			// For a moment it is still systemd that is about to become the program.
			const programs = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/exe`).catch(() => '')));
			return programs.every((path) => path.includes('/foreman-')) && /** @type {number[]} */ (pids);
		});
	}

	/** A call of the server's API, which anybody on this computer can make who may read its folder. @param {string} path @param {object} [json] @returns {Promise<any>} */
	async api(path, json) {
		this.url ??= (await readFile(join(this.folder, 'server/address'), 'utf8')).trim();
		const args = [
			'token',
			'create',
			'--data',
			join(this.folder, 'server'),
			'--name',
			'test',
			'--role',
			'owner'
		];
		this.bearer ??= (await run(join(PROGRAMS, 'foreman-server'), args)).stdout.trim();
		const response = await fetch(this.url + path, {
			method: json ? 'POST' : 'GET',
			headers: { authorization: `Bearer ${this.bearer}`, 'content-type': 'application/json' },
			body: json && JSON.stringify(json)
		});
		assert.ok(response.ok, `${path}: ${response.status}`);
		return response.json();
	}

	async device() {
		const { items } = await this.api('/api/v1/devices');
		assert.equal(items.length, 1, 'this computer is there once');
		return items[0];
	}

	/** @param {string} shell */
	async task(shell) {
		return this.api(`/api/v1/devices/${(await this.device()).id}/tasks`, { shell });
	}

	/** @param {{ id: string }} task @param {string} state */
	becomes(task, state) {
		return eventually(async () => (await this.api(`/api/v1/tasks/${task.id}`)).state === state);
	}

	/** The app is closed as a desktop closes one. */
	async quit() {
		process.kill((await this.desk.pids())[0], 'SIGTERM');
		await eventually(async () => (await this.desk.pids()).length === 0);
		await this.desk.window?.close().catch(() => undefined);
	}

	/** A newer app takes the place of this one, which is gone with its programs. */
	async update() {
		const next = join(this.unpacked, 'app-2');
		await mkdir(next);
		for (const name of NAMES.map((one) => `foreman-${one}`))
			await copyFile(join(PROGRAMS, name), join(next, name));
		await symlink('app-2', join(this.unpacked, 'next'));
		await rename(join(this.unpacked, 'next'), join(this.unpacked, 'app'));
		await rm(join(this.unpacked, 'app-1'), { recursive: true });
	}
}

/** Goes to where this computer is kept or not. @param {import('./webdriver.mjs').Window} window */
async function settings(window) {
	await window.go('/settings/servers');
	await window.text(say('app_keep'));
}

test('kept as services they go on without the app: tasks run on, the app finds them again, and taken back they end with it', async (t) => {
	const home = await Home.of(t);
	const { desk, systemd } = home;
	if (!systemd) return leaveOut(t);
	let window = await home.begin();
	await eventually(async () => (await home.device()).status === 'online');
	const beside = await eventually(() => home.beside());
	const over = join(desk.path, 'over');
	const long = await home.task(`while [ ! -e ${over} ]; do sleep 0.1; done; echo it is over`);
	await home.becomes(long, 'running');

	await settings(window);
	await window.check(say('app_keep'));
	await window.text(say('app_keep_running'));
	// Nobody allowed it to stay after the last login, and that is said, with what allows it.
	await window.text('sudo loginctl enable-linger');
	await desk.keep('kept');
	const pids = await home.pids();
	// Nothing runs beside the app any more.
	for (const pid of beside) await eventually(async () => !runs(pid));
	for (const [at, pid] of pids.entries()) {
		const path = await readlink(`/proc/${pid}/exe`);
		assert.ok(path.startsWith(join(home.folder, 'programs')), path);
		const unit = await readFile(join(home.units, `${SERVICES[at]}.service`), 'utf8');
		assert.ok(unit.includes(path) && !unit.includes(home.unpacked), unit);
	}
	await window.go('/devices');
	await window.until('return document.body.innerText.includes(arguments[0])', say('link_live'));
	assert.equal((await home.api(`/api/v1/tasks/${long.id}`)).state, 'running');

	await home.quit();
	for (const pid of pids) assert.equal(runs(pid), true, 'a service does not end with the app');
	await eventually(async () => (await home.device()).status === 'online');
	const short = await home.task('test $((6*7)) = 42');
	await home.becomes(short, 'succeeded');
	await writeFile(over, '');
	await home.becomes(long, 'succeeded');

	window = await desk.open();
	await window.until('return document.body.innerText.includes(arguments[0])', say('link_live'));
	assert.deepEqual(await home.pids(), pids, 'the services are the same');
	assert.equal(await home.beside(), undefined, 'no second server was started');
	await home.device();

	await settings(window);
	await window.text(say('app_keep_running'));
	await window.check(say('app_keep'));
	const back = await eventually(() => home.beside());
	await eventually(async () => (await systemd.services()).length === 0);
	await eventually(async () => (await readdir(home.units)).length === 0);
	await window.until(
		`const box = document.querySelector('input[type=checkbox]'); return box && !box.checked && !box.disabled`
	);
	await eventually(async () => (await home.device()).status === 'online');
	await home.quit();
	// What runs beside the app ends with it.
	for (const pid of back) await eventually(async () => !runs(pid));
});

test('services that are stopped are said to be, and can be started; a newer app renews their programs under a task that runs', async (t) => {
	const home = await Home.of(t);
	const { desk, systemd } = home;
	if (!systemd) return leaveOut(t);
	await writeFile(join(home.unpacked, 'allowed'), '');
	let window = await home.begin();
	await settings(window);
	await window.check(say('app_keep'));
	await window.text(say('app_keep_running'));
	await window.text(say('app_keep_after_logout'));
	const before = await home.pids();

	await systemd.ctl('stop', ...SERVICES);
	await window.text(say('app_keep_see'));
	await window.text(say('app_keep_take_back'));
	await desk.keep('kept-stopped');
	await window.press(say('app_keep_start'));
	await window.text(say('app_keep_running'));
	await home.pids(before);

	// Stopped while there is no app: the next one says so, and starts nothing beside them.
	await home.quit();
	await systemd.ctl('stop', ...SERVICES);
	window = await desk.open();
	await window.text(say('app_keep_see'));
	assert.equal(await home.beside(), undefined);
	await settings(window);
	await window.press(say('app_keep_start'));
	await window.text(say('app_keep_running'));

	const over = join(desk.path, 'over');
	await eventually(async () => (await home.device()).status === 'online');
	const task = await home.task(`while [ ! -e ${over} ]; do sleep 0.1; done`);
	await home.becomes(task, 'running');
	const old = await home.pids();
	const programs = await readdir(join(home.folder, 'programs'));
	await home.quit();
	await home.update();
	for (const pid of old) assert.equal(runs(pid), true, 'the services do not need what the app brought');
	window = await desk.open();
	await window.until('return document.body.innerText.includes(arguments[0])', say('link_live'));
	// One after the other, while the app shows what is there already.
	const renewed = await home.pids(old);
	const now = await eventually(async () => {
		const folders = await readdir(join(home.folder, 'programs'));
		return folders.length === 1 && folders;
	});
	assert.notDeepEqual(now, programs);
	assert.equal(dirname(await readlink(`/proc/${renewed[0]}/exe`)), join(home.folder, 'programs', now[0]));
	await writeFile(over, '');
	await home.becomes(task, 'succeeded');

	// Who removes this computer from the app is left with no services that nobody could end.
	await leave(window);
	await eventually(async () => (await systemd.services()).length === 0);
	for (const pid of renewed) await eventually(async () => !runs(pid));
});

test('services that cannot be made change nothing: it runs with the app as before', async (t) => {
	const home = await Home.of(t);
	if (!home.systemd) return leaveOut(t);
	const window = await home.begin();
	const before = await eventually(() => home.beside());
	// Where units would be written there is something else.
	await rm(join(home.desk.env.XDG_CONFIG_HOME, 'systemd'), { recursive: true, force: true });
	await writeFile(join(home.desk.env.XDG_CONFIG_HOME, 'systemd'), '');
	await settings(window);
	await window.check(say('app_keep'));
	await window.text(say('app_keep_on_failed'));
	await eventually(async () => (await home.beside())?.every((pid) => !before.includes(pid)));
	assert.equal(existsSync(join(home.folder, 'kept')), false);
	assert.deepEqual(await home.systemd.services(), []);
	await eventually(async () => (await home.device()).status === 'online');
});

test('where nobody’s systemd can be reached it is said, and nothing can be pressed', async (t) => {
	const home = await Home.of(t, { systemd: false });
	const window = await home.begin();
	await settings(window);
	await window.text(say('app_keep_impossible'));
	await window.until(`return document.querySelector('input[type=checkbox]')?.disabled`);
	await home.desk.keep('keep-impossible');
	assert.ok(await home.beside());
	assert.equal(existsSync(home.units), false);
});

test('without an app: server and agent make themselves services, say how they are, and go', async (t) => {
	const folder = await scratch();
	atEnd(t, folder.remove);
	await standInForLogind(folder.path);
	for (const name of ['config', 'run']) await mkdir(join(folder.path, name), { mode: 0o700 });
	const env = {
		HOME: folder.path,
		XDG_CONFIG_HOME: join(folder.path, 'config'),
		XDG_RUNTIME_DIR: join(folder.path, 'run'),
		PATH: folder.path + delimiter + process.env.PATH
	};
	const systemd = await UserSystemd.of(t, env);
	if (!systemd) return leaveOut(t);
	const foreman = async (/** @type {string} */ name, /** @type {string[]} */ ...args) => {
		const options = { env: environment(env), cwd: folder.path };
		const said = await run(join(PROGRAMS, `foreman-${name}`), args, options).catch((error) => error);
		return { code: said.code ?? 0, text: said.stdout + said.stderr };
	};
	const options = { server: ['--data', 'data', '--listen', '127.0.0.1:0'], agent: ['--state', 'state'] };
	for (const name of /** @type {const} */ (['server', 'agent'])) {
		const one = ['--user', '--instance', 'lab'];
		assert.equal((await foreman(name, 'service-status', ...one)).code, 1);
		const installed = await foreman(name, 'install-service', ...one, ...options[name]);
		assert.equal(installed.code, 0, installed.text);
		assert.match(installed.text, new RegExp(`Installed the systemd user service foreman-${name}-lab`));
		assert.match(installed.text, /sudo loginctl enable-linger/);
		const status = await foreman(name, 'service-status', ...one, '--json');
		assert.equal(status.code, 0);
		assert.equal(JSON.parse(status.text).state, 'running');
		// Again changes nothing, and another one beside it is another one.
		const pid = await systemd.pid(`foreman-${name}-lab`);
		const again = await foreman(name, 'install-service', ...one, ...options[name]);
		assert.match(again.text, /installed and running already/);
		assert.equal(await systemd.pid(`foreman-${name}-lab`), pid);
		assert.equal((await foreman(name, 'service-status', '--user')).code, 1);
	}
	// Relative folders are the ones of whoever typed them, and the server keeps off a second one.
	await eventually(async () => existsSync(join(folder.path, 'data/address')));
	const second = await foreman('server', 'serve', ...options.server);
	assert.match(second.text, /another foreman-server is using/);
	for (const name of /** @type {const} */ (['agent', 'server'])) {
		const removed = await foreman(name, 'uninstall-service', '--user', '--instance', 'lab');
		assert.match(removed.text, /Removed the systemd user service/);
	}
	assert.deepEqual(await systemd.services(), []);
	assert.equal(existsSync(join(folder.path, 'data/foreman.db')), true);
});
