// @ts-check
// The programs for Windows under Wine, as somebody there would use them: paths with spaces and signs of Unicode, a
// server that is killed, a console in UTF-8. What Wine lacks stands in `wine/`. `./dev windows` builds and starts this.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

const { FOREMAN_WINE = '', FOREMAN_WINDOWS_PROGRAMS = '', FOREMAN_PROGRAMS = '' } = process.env;
/** One of them may take that long on a busy machine. */
const PATIENCE = 180_000;
const PASSWORD = 'ein langes Wort';
const GREETING = 'Grüße, 世界';

const folder = mkdtempSync(join(tmpdir(), 'foreman-wine-'));
const programs = join(folder, 'Foremans Gerät');
const drive = join(folder, 'prefix', 'drive_c');
const data = join(drive, 'Daten Größe');
const running = new Set();
const environment = Object.fromEntries(
	Object.entries(process.env).filter(
		([name]) => !/^(FOREMAN_|DATABASE_URL|DISPLAY|WAYLAND)/.test(name) && !/_proxy$/i.test(name)
	)
);
Object.assign(environment, {
	WINEPREFIX: join(folder, 'prefix'),
	WINEDEBUG: '-all',
	WINEDLLOVERRIDES: 'mscoree,mshtml=;pdh,bcryptprimitives=n,b;conhost.exe,conhost-wine.exe=n',
	FOREMAN_NO_MDNS: 'true',
	FOREMAN_LINK_LISTEN: '127.0.0.1:0'
});

/** As Windows names it. @param {string} path */
const there = (path) => `Z:${path.replaceAll('/', '\\')}`;

/**
 * Starts a program; what it says is heard, and its input held until somebody ends it.
 * @param {string} file @param {string[]} args
 */
function start(file, ...args) {
	const child = spawn(file, args, { cwd: programs, env: environment });
	running.add(child);
	let said = '';
	/** @type {Set<() => void>} */
	const listeners = new Set();
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding('utf8').on('data', (text) => {
			said += text;
			for (const listener of listeners) listener();
		});
	}
	child.stdin.on('error', () => {});
	/** @type {Promise<number | null>} */
	const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
	void ended.then(() => running.delete(child));
	/** What it says next that looks so. @param {RegExp} what @returns {Promise<string[]>} */
	const says = (what) =>
		soon(
			`${what} of ${args[0]}`,
			new Promise((resolve, reject) => {
				const look = () => {
					const found = what.exec(said);
					if (!found) return;
					listeners.delete(look);
					resolve([...found]);
				};
				listeners.add(look);
				look();
				void ended.then((code) => reject(new Error(`${args.join(' ')} ended with ${code}:\n${said}`)));
			}),
			() => said
		);
	return { child, says, ended: () => soon(`the end of ${args[0]}`, ended, () => said), said: () => said };
}

/** @param {string} name @param {string[]} args */
const windows = (name, ...args) => start(FOREMAN_WINE, there(join(programs, `${name}.exe`)), ...args);

/**
 * Runs one to its end. @param {string} name @param {string[]} args
 * @returns {Promise<{ code: number | null, said: string }>}
 */
async function run(name, ...args) {
	const program = windows(name, ...args);
	program.child.stdin.end();
	const code = await program.ended();
	return { code, said: program.said() };
}

/** The same, of what has to succeed. @param {string} name @param {string[]} args */
async function done(name, ...args) {
	const { code, said } = await run(name, ...args);
	assert.equal(code, 0, `${name} ${args.join(' ')}: ${said}`);
	return said.replaceAll('\r\n', '\n').trimEnd();
}

/** @template T @param {string} what @param {Promise<T>} promise @param {() => string} said @returns {Promise<T>} */
function soon(what, promise, said) {
	/** @type {NodeJS.Timeout | undefined} */
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${what} did not come:\n${said()}`)), PATIENCE);
	});
	return /** @type {Promise<T>} */ (Promise.race([promise, late])).finally(() => clearTimeout(timer));
}

let url = '';

/** @param {string} path @param {object} [body] */
const ask = (path, body) =>
	fetch(`${url}/api/v1/${path}`, {
		method: body ? 'POST' : 'GET',
		headers: { 'content-type': 'application/json', origin: url },
		body: body ? JSON.stringify(body) : null
	});

async function serve() {
	const listen = url ? new URL(url).host : '127.0.0.1:0';
	const server = windows(
		'foreman-server',
		'serve',
		'--data',
		'C:\\Daten Größe',
		'--listen',
		listen,
		'--end-with-input'
	);
	[, url = ''] = await server.says(/listening on (http:\S+)/);
	return server;
}

/** @type {Awaited<ReturnType<typeof serve>>} */
let server;
/** @type {ReturnType<typeof windows>} */
let agent;

before(async () => {
	mkdirSync(programs);
	for (const name of ['foreman-server', 'foreman-agent', 'foreman']) {
		copyFileSync(join(FOREMAN_WINDOWS_PROGRAMS, `${name}.exe`), join(programs, `${name}.exe`));
	}
	/** @param {string[]} args */
	const compile = (...args) =>
		execFileSync('x86_64-w64-mingw32-gcc', args, { cwd: join(import.meta.dirname, 'wine') });
	for (const library of ['bcryptprimitives', 'pdh']) {
		compile('-shared', '-o', join(programs, `${library}.dll`), `${library}.c`, '-ladvapi32');
	}
	spawnSync(FOREMAN_WINE, ['wineboot', '--init'], { env: environment, stdio: 'ignore' });
	// Wine ends with its last program, and would begin anew for each.
	running.add(spawn(FOREMAN_WINE, ['cmd'], { env: environment, stdio: ['pipe', 'ignore', 'ignore'] }));
	const system = join(drive, 'windows', 'system32');
	// Wine takes what is its own from elsewhere, whatever lies here.
	const host = readFileSync(join(system, 'conhost.exe'));
	writeFileSync(
		join(system, 'conhost-wine.exe'),
		host.fill(0, host.indexOf('Wine builtin DLL'), host.indexOf('Wine builtin DLL') + 16)
	);
	rmSync(join(system, 'conhost.exe'));
	compile('-municode', '-mwindows', '-o', join(system, 'conhost.exe'), 'conhost.c');
});

after(async () => {
	for (const child of running) child.kill('SIGKILL');
	const end = ['wineserver64', 'wineserver']
		.map((name) => join(dirname(FOREMAN_WINE), name))
		.find(existsSync);
	// What is left of Wine itself; it ends by itself, too, and then this finds nothing.
	if (end) spawnSync(end, ['-k'], { env: environment });
	rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

test('a server has its owner, and keeps everything when it is killed', async () => {
	server = await serve();
	const [, code] = await server.says(/Setup code: (\S+)/);
	const owner = { name: 'Jörg', password: PASSWORD };
	assert.equal((await ask('setup', { code, ...owner })).status, 200);
	const ended = server.ended();
	server.child.kill('SIGKILL');
	await ended;
	server = await serve();
	const answer = await ask('session', owner);
	assert.deepEqual([answer.status, (await answer.json()).name], [200, 'Jörg']);
	assert.match(
		await done('foreman-server', 'audit', 'verify', '--data', 'C:\\Daten Größe'),
		/The log is intact/
	);
});

test('a server ends in order with its input, and a copy of its database comes back', async () => {
	const where = ['--data', 'C:\\Daten Größe'];
	await done('foreman-server', 'backup', 'C:\\Eine Sicherung.db', ...where);
	assert.ok(existsSync(join(data, 'foreman.db-wal')));
	const refused = await run('foreman-server', 'restore', 'C:\\Eine Sicherung.db', ...where);
	assert.match(refused.said, /cannot be replaced under a running server/);
	server.child.stdin.end();
	assert.equal(await server.ended(), 0);
	assert.ok(!existsSync(join(data, 'foreman.db-wal')), 'the database was closed in order');
	assert.match(await done('foreman-server', 'restore', 'C:\\Eine Sicherung.db', ...where), /Restored/);
	server = await serve();
	assert.equal((await ask('session', { name: 'Jörg', password: PASSWORD })).status, 200);
});

test('a device is joined, runs a line in UTF-8, and its exit code is what comes back', async () => {
	const token = join(folder, 'token');
	writeFileSync(
		token,
		await done(
			'foreman-server',
			'token',
			'create',
			'--name',
			'x',
			'--role',
			'owner',
			'--data',
			'C:\\Daten Größe'
		)
	);
	await done('foreman', 'login', url, '--token', there(token));
	const made = await done('foreman', 'devices', 'add', 'fenster');
	const [, owner = '', secret = ''] = /FOREMAN_OWNER=(\S+) FOREMAN_TOKEN=(\S+)/.exec(made) ?? [];
	const state = ['--state', 'C:\\Agent Größe'];
	const rights = ['--allow', 'bash,read,logs', '--owner', owner];
	const first = windows(
		'foreman-agent',
		'connect',
		'--detach',
		'--server',
		url,
		'--token',
		'-',
		...rights,
		...state
	);
	first.child.stdin.end(secret);
	assert.equal(await first.ended(), 0, first.said());
	agent = windows('foreman-agent', 'run', '--end-with-input', ...state);
	await agent.says(/connected: commands can come/);

	assert.match(await done('foreman', 'devices'), /fenster +online/);
	assert.match(await done('foreman', 'status', 'fenster'), /over local network .*end to end/);
	const line = `echo ${GREETING}& cd& exit 3`;
	const { code, said } = await run('foreman', 'run', 'fenster', '--shell', '--', line);
	assert.equal(code, 3);
	assert.match(said, new RegExp(`^${GREETING}\r\nC:\\\\`));
	const refused = await run('foreman', 'ls', 'fenster:/');
	assert.match(refused.said, /An agent on Windows does not show or change files yet/);
});

test('a terminal opens, answers and gives its exit code', async () => {
	const command = `'${FOREMAN_WINE}' foreman.exe shell fenster`;
	const terminal = start('script', '-qec', command, '/dev/null');
	await terminal.says(/C:\\[^>]*>/);
	terminal.child.stdin.write('echo hal^lo-%OS%\r');
	await terminal.says(/hallo-Windows_NT/);
	terminal.child.stdin.write('exit 7\r');
	assert.equal(await terminal.ended(), 7);
});

test('files come from Linux and go there, and what Windows would read otherwise is left out', async () => {
	const made = await done('foreman', 'devices', 'add', 'linux');
	const [, owner = '', secret = ''] = /FOREMAN_OWNER=(\S+) FOREMAN_TOKEN=(\S+)/.exec(made) ?? [];
	const rights = ['--allow', 'read,write', '--owner', owner, '--state', join(folder, 'agent')];
	const linux = start(
		join(FOREMAN_PROGRAMS, 'foreman-agent'),
		'connect',
		'--server',
		url,
		'--token',
		'-',
		...rights
	);
	linux.child.stdin.end(secret);
	await linux.says(/Listening for tasks/);
	const tree = join(folder, 'tree');
	mkdirSync(join(tree, 'Größe'), { recursive: true });
	const content = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, index) => (index * index) % 251));
	writeFileSync(join(tree, 'Größe', 'a b.bin'), content);
	for (const name of ['a:b', 'nul', 'back\\slash', 'what?']) writeFileSync(join(tree, name), name);
	const copied = await done('foreman', 'cp', '-r', `linux:${tree}`, 'C:\\Ziel Ordner');
	assert.equal(copied.match(/Windows takes no file that is called/g)?.length, 4, copied);
	assert.deepEqual(readFileSync(join(drive, 'Ziel Ordner', 'Größe', 'a b.bin')), content);
	await done('foreman', 'cp', 'C:\\Ziel Ordner\\Größe\\a b.bin', `linux:${folder}/back.bin`);
	assert.deepEqual(readFileSync(join(folder, 'back.bin')), content);
	// Over the one that is there.
	await done('foreman', 'cp', '-f', `linux:${folder}/back.bin`, 'C:\\Ziel Ordner\\Größe\\a b.bin');
	const ended = linux.ended();
	linux.child.kill('SIGTERM');
	await ended;
});

test('agent and server end in order when who started them lets go', async () => {
	agent.child.stdin.end();
	assert.equal(await agent.ended(), 0);
	assert.match(agent.said(), /asked to end/);
	server.child.stdin.end();
	assert.equal(await server.ended(), 0);
});
