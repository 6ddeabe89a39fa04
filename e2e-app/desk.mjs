// @ts-check
// A desktop for one test: a screen, a session bus, a keyring, a window manager and a driver for the app's window, all of
// its own and gone afterwards.
import { once } from 'node:events';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { atEnd, eventually, Program, PROGRAMS, scratch } from '../e2e/stack.mjs';
import { Services } from './services.mjs';
import { Window } from './webdriver.mjs';

export const APP = resolve(process.env.FOREMAN_APP ?? 'target/debug/foreman-app');
const RESULTS = resolve('test-results');

/** Of the keyring. */
const PASSWORD = 'a password';
/** The name that a keyring has on the bus. */
const SECRETS = 'org.freedesktop.secrets';

/** A session's bus that starts nothing by itself: what is on it is what a test put there. @param {string} folder */
const BUS = (folder) => `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=${folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`;

/** Ports that nobody listens on, each another one. @param {number} count */
async function freePorts(count) {
	const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
	await Promise.all(servers.map((server) => server.listening || once(server, 'listening')));
	const ports = servers.map(
		(server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port
	);
	await Promise.all(servers.map((server) => new Promise((on) => server.close(on))));
	return ports;
}

export class Desk {
	/**
	 * @param {import('node:test').TestContext} test
	 * @param {{ keyring?: boolean, services?: boolean, env?: Record<string, string> }} [options]
	 * `services`: somebody shows notifications and icons in a tray.
	 */
	static async of(test, { keyring = true, services = false, env = {} } = {}) {
		const folder = await scratch();
		atEnd(test, folder.remove);
		const desk = new Desk(test, folder.path);
		atEnd(test, () => desk.#endBeside());
		Object.assign(desk.env, env);
		await desk.#begin(keyring, services);
		return desk;
	}

	/** @param {import('node:test').TestContext} test @param {string} path */
	constructor(test, path) {
		this.test = test;
		this.path = path;
		this.driver = '';
		/** @type {Record<string, string>} */
		this.env = {
			HOME: path,
			XDG_CONFIG_HOME: join(path, 'config'),
			XDG_DATA_HOME: join(path, 'data'),
			XDG_CACHE_HOME: join(path, 'cache'),
			XDG_RUNTIME_DIR: join(path, 'run'),
			// As on servers and in containers: no language at all.
			LANG: 'C.UTF-8',
			GDK_BACKEND: 'x11',
			NO_AT_BRIDGE: '1',
			LIBGL_ALWAYS_SOFTWARE: '1',
			WEBKIT_DISABLE_DMABUF_RENDERER: '1',
			FOREMAN_PROGRAMS: PROGRAMS
		};
		/** @type {Window | undefined} */
		this.window = undefined;
		/** @type {Services | undefined} */
		this.shown = undefined;
		/** @type {Program | undefined} */
		this.keyring = undefined;
	}

	/** An app that is killed leaves what runs beside it, as it may. */
	async #endBeside() {
		const folder = join(this.env.XDG_DATA_HOME, 'dev.foreman.app/this-computer');
		for (const name of ['agent.pid', 'server.pid']) {
			const pid = Number(await readFile(join(folder, name), 'utf8').catch(() => ''));
			if (pid > 1) end(pid);
		}
	}

	/** Who shows notifications and icons, where the test wants somebody. */
	get services() {
		if (!this.shown) throw new Error('this desk shows no notifications');
		return this.shown;
	}

	/** @param {boolean} keyring @param {boolean} services */
	async #begin(keyring, services) {
		for (const name of ['config', 'data', 'cache', 'run']) {
			await mkdir(join(this.path, name), { mode: 0o700 });
		}
		const screen = this.#start('Xvfb', [
			'-displayfd',
			'1',
			'-screen',
			'0',
			'1280x900x24',
			'-nolisten',
			'tcp'
		]);
		const [, display] = await screen.line(/^(\d+)$/);
		this.env.DISPLAY = `:${display}`;
		const config = join(this.path, 'bus.conf');
		await writeFile(config, BUS(join(this.path, 'run')));
		const bus = this.#start('dbus-daemon', [`--config-file=${config}`, '--nofork', '--print-address=1']);
		const [address] = await bus.line(/^unix:.*/);
		this.env.DBUS_SESSION_BUS_ADDRESS = address;
		this.#start('openbox', []);
		if (services) {
			const program = this.#start(join(dirname(APP), 'examples/desk_stub'), [], null);
			await program.line(/ready/);
			this.shown = new Services(program);
		}
		if (keyring) await this.unlock();
		await this.#drive();
	}

	/** The driver of the app's window. It takes ports by number only, and somebody else may be faster to take them. */
	async #drive() {
		for (let tries = 3; tries > 0; tries--) {
			const [port, native] = await freePorts(2);
			const program = this.#start(resolve('.tools/bin/tauri-driver'), [
				...['--port', String(port), '--native-port', String(native)],
				...['--native-driver', '/usr/bin/WebKitWebDriver']
			]);
			this.driver = `http://127.0.0.1:${port}`;
			if (await ready(`${this.driver}/status`, program)) return;
		}
		throw new Error('the driver did not start');
	}

	/** A keyring that is open, as after signing in to a desktop; one that runs is told the password, as by its own dialog. */
	async unlock() {
		if (!this.keyring?.running) return this.#keep(['--unlock'], PASSWORD);
		const socket = connect(join(this.env.XDG_RUNTIME_DIR, 'keyring/control'));
		// A byte for who calls; then how long it all is, what to do (1: unlock), and the password behind its length.
		const call = Buffer.alloc(13 + PASSWORD.length);
		[12 + PASSWORD.length, 1, PASSWORD.length].forEach((number, at) =>
			call.writeUInt32BE(number, 1 + 4 * at)
		);
		call.write(PASSWORD, 13);
		socket.write(call);
		const [answer] = await once(socket, 'data');
		socket.end();
		if (answer.readUInt32BE(4) !== 0) throw new Error('the keyring did not open');
	}

	/** A keyring that wants its password, and nobody who could ask for that. */
	lock() {
		return this.#keep([]);
	}

	/** A keyring that hears what it is asked and says nothing, as while its own question stands unanswered; or that goes on. @param {boolean} silent */
	hush(silent) {
		process.kill(/** @type {number} */ (this.keyring?.child.pid), silent ? 'SIGSTOP' : 'SIGCONT');
	}

	/** @param {string[]} how @param {string} [password] */
	async #keep(how, password) {
		if (this.keyring) {
			end(-(/** @type {number} */ (this.keyring.child.pid)));
			await this.keyring.ended;
		}
		const args = [...how, '--components=secrets', '--foreground'];
		// The bus may start one of its own in the same moment, and then this one goes away.
		for (let tries = 3; tries > 0; tries--) {
			this.keyring = this.#start('gnome-keyring-daemon', args, password);
			const { code } = await this.#start('gdbus', ['wait', '--session', '--timeout', '10', SECRETS]).ended;
			if (code === 0 && this.keyring.running) return;
		}
		throw new Error('the keyring did not start');
	}

	/** @param {string} command @param {string[]} args @param {string | null} [input] */
	#start(command, args, input = '') {
		// In a group of its own, because what it starts has to go with it.
		const program = new Program(command, args, { env: this.env, input, detached: true });
		program.child.stdin.on('error', () => {});
		atEnd(this.test, () => end(-(/** @type {number} */ (program.child.pid))));
		return program;
	}

	/** The app, started anew with the data it has. @param {string[]} [args] @param {string} [program] */
	async open(args = [], program = APP) {
		this.window = await Window.open(this.driver, program, args);
		const window = this.window;
		atEnd(this.test, () => Promise.race([window.close().catch(() => undefined), patience(10_000)]));
		return window;
	}

	/** Starts the app once more, as a desktop does with a link. @param {string[]} args */
	launch(args) {
		return this.#start(APP, args);
	}

	/** The app's own processes. @returns {Promise<number[]>} */
	async pids() {
		const found = [];
		for (const name of await readdir('/proc')) {
			if (!/^\d+$/.test(name)) continue;
			const [exe, env] = await Promise.all([
				readlink(`/proc/${name}/exe`).catch(() => ''),
				readFile(`/proc/${name}/environ`, 'latin1').catch(() => '')
			]);
			if (exe === APP && env.includes(`XDG_RUNTIME_DIR=${this.env.XDG_RUNTIME_DIR}\0`))
				found.push(Number(name));
		}
		return found;
	}

	/** Kills the app, with all that it does, and lets go of its window. */
	async kill() {
		for (const pid of await this.pids()) end(pid);
		await this.gone();
	}

	/** The app runs, once. */
	async alone() {
		// What it starts is for a moment a copy of itself.
		await eventually(async () => (await this.pids()).length === 1);
	}

	/** The files of this desktop's person whose text matches, read as UTF-8 and as UTF-16. @param {RegExp} pattern */
	async holding(pattern) {
		const entries = await readdir(this.path, { recursive: true, withFileTypes: true });
		const found = [];
		for (const entry of entries.filter((one) => one.isFile())) {
			const path = join(entry.parentPath, entry.name);
			const text = await readFile(path, 'latin1').catch(() => '');
			if (pattern.test(text) || pattern.test(text.replaceAll('\0', ''))) found.push(path);
		}
		return found;
	}

	/** Keys, to whatever window has the focus. @param {string} keys */
	async keys(keys) {
		await this.#start('xdotool', ['key', keys]).ended;
	}

	/** Finds the windows of the app that are seen, and does this with them. @param {string[]} [more] */
	async #seen(more = []) {
		const search = this.#start('xdotool', ['search', '--onlyvisible', '--name', '^Foreman$', ...more]);
		await search.ended;
		return search.lines;
	}

	/** How many windows of the app are seen. */
	async windows() {
		return (await this.#seen()).filter((line) => /^\d+$/.test(line)).length;
	}

	/** Where the window is and how large, in pixels. */
	async frame() {
		const said = await this.#seen(['getwindowgeometry', '--shell']);
		const of = (/** @type {string} */ name) =>
			Number(said.find((line) => line.startsWith(`${name}=`))?.split('=')[1]);
		return { x: of('X'), y: of('Y'), width: of('WIDTH'), height: of('HEIGHT') };
	}

	/** Moves the window and draws it to a size, as by its frame. @param {{ x: number, y: number, width: number, height: number }} frame */
	async place({ x, y, width, height }) {
		await this.#seen(['windowsize', `${width}`, `${height}`, 'windowmove', `${x}`, `${y}`]);
	}

	/** Asks the window in front to close, as its frame's cross does. */
	closeWindow() {
		return this.keys('alt+F4');
	}

	/** Until the app has ended, by itself. */
	async gone() {
		await eventually(async () => (await this.pids()).length === 0);
		await this.window?.close().catch(() => undefined);
	}

	/** Has the system open a link, as any program does that shows one. @param {string[]} opener */
	follow([command, ...args]) {
		return this.#start(command, args).ended;
	}

	/** Keeps what the screen shows, the window's frame included. @param {string} name */
	async keep(name) {
		await mkdir(RESULTS, { recursive: true });
		await this.#start('import', ['-window', 'root', join(RESULTS, `app-${name}.png`)]).ended;
	}
}

/** @param {number} ms */
const patience = (ms) => new Promise((on) => setTimeout(on, ms).unref());

/** @param {number} pid of a process, or of a group when negative */
function end(pid) {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It ended by itself.
	}
}

/** Whether both the driver and the one behind it are there; not when it has ended instead. @param {string} url @param {Program} program */
async function ready(url, program) {
	const end = Date.now() + 20_000;
	while (program.running && Date.now() < end) {
		if ((await fetch(url).catch(() => undefined))?.ok) return true;
		await new Promise((on) => setTimeout(on, 50));
	}
	return false;
}
