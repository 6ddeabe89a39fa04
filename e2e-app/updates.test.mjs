// @ts-check
// Updates: unmentioned until somebody says where they are; then only what the key signed, for the version that it was
// signed for, is taken, and nothing before a person says so.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEnd, eventually, scratch, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { APP, Desk } from './desk.mjs';
import { enter } from './enter.mjs';
import { passing } from './proxy.mjs';

const PACKAGE = Buffer.from('what would be installed');
const NEWER = '9.9.9';
/** How the packager says into a program what it is packed in: unknown, and an AppImage. */
const [UNPACKED, IN_APPIMAGE] = ['UNK', 'APP'].map((kind) => `__TAURI_BUNDLE_TYPE_VAR_${kind}`);
const TARGET = `linux-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`;

/** A key as minisign has it, and what signs with it. */
class Key {
	constructor() {
		const { publicKey, privateKey } = generateKeyPairSync('ed25519');
		this.secret = privateKey;
		this.id = randomBytes(8);
		const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
		const line = Buffer.concat([Buffer.from('Ed'), this.id, raw]).toString('base64');
		this.public = text(`untrusted comment: minisign public key\n${line}\n`);
	}

	/** @param {Buffer} data @param {string} version */
	sign(data, version) {
		const signature = sign(null, createHash('blake2b512').update(data).digest(), this.secret);
		const trusted = `timestamp:1\tfile:foreman\tversion:${version}`;
		const all = sign(null, Buffer.concat([signature, Buffer.from(trusted)]), this.secret);
		const line = Buffer.concat([Buffer.from('ED'), this.id, signature]).toString('base64');
		return text(
			`untrusted comment: signature\n${line}\ntrusted comment: ${trusted}\n${all.toString('base64')}\n`
		);
	}
}

/** @param {string} lines */
const text = (lines) => Buffer.from(lines).toString('base64');

/** A place that announces updates. @param {import('node:test').TestContext} t @param {Buffer} content of the package */
async function shop(t, content = PACKAGE) {
	const offered = { version: NEWER, signature: '', fetched: 0 };
	const server = createServer((request, answer) => {
		if (request.url === '/package') {
			offered.fetched++;
			return void answer.end(content);
		}
		const { version, signature } = offered;
		const platforms = { [TARGET]: { url: `${address}/package`, signature } };
		answer.setHeader('content-type', 'application/json');
		answer.end(JSON.stringify({ version, notes: 'What is better now.', platforms }));
	}).listen(0, '127.0.0.1');
	await new Promise((on) => server.once('listening', on));
	atEnd(t, () => void server.close().closeAllConnections());
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	const address = `http://127.0.0.1:${port}`;
	return { address, offered };
}

test('only what is signed as it has to be is taken, and only when somebody says so', async (t) => {
	const { server } = await stack(t);
	const { address, offered } = await shop(t);
	const [key, other] = [new Key(), new Key()];
	const env = { FOREMAN_UPDATE_ADDRESS: `${address}/manifest`, FOREMAN_UPDATE_KEY: key.public };
	const desk = await Desk.of(t, { env });
	const window = await desk.open();
	await enter(window, server);

	/** What becomes of an offer that a person takes. @param {string} version @param {string} signature @param {string} words */
	const take = async (version, signature, words) => {
		Object.assign(offered, { version, signature, fetched: 0 });
		await lookForUpdate(window);
		await window.text(say('update_title', { version }));
		await window.text('What is better now.');
		assert.equal(offered.fetched, 0, 'nothing is fetched before somebody says so');
		await window.press(say('update_install'));
		await window.text(words);
		assert.equal(offered.fetched, 1);
	};
	const forged = say('problem_update_forged');
	await take('9.9.9', '', forged);
	await take('9.9.9', other.sign(PACKAGE, '9.9.9'), forged);
	await take('9.9.9', key.sign(Buffer.from('something else'), '9.9.9'), forged);
	// An old app that was signed once, announced as a new one.
	await take('9.9.9', key.sign(PACKAGE, '0.0.1'), forged);
	await take('9.9.9', key.sign(PACKAGE, '9.9.9'), 'The update is genuine');

	offered.version = '0.0.1';
	await lookForUpdate(window);
	await window.text(say('update_none'));
});

/** Asks whether there is something newer, once nothing on the page moves any more. @param {import('./webdriver.mjs').Window} window */
async function lookForUpdate(window) {
	await window.go('/settings/about');
	await window.text(say('about_same'));
	await window.press(say('update_look'));
}

/** @param {Buffer} content @param {string} from @param {string} to of the same length */
function patched(content, from, to) {
	assert.equal(from.length, to.length);
	const copy = Buffer.from(content);
	let count = 0;
	for (let at = copy.indexOf(from); at >= 0; at = copy.indexOf(from, at + 1))
		count += copy.write(to, at) && 1;
	assert.ok(count > 0, `${from} is in it`);
	return copy;
}

/** @param {Buffer} bytes */
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Processes that run this very file. @param {string} path @param {number} inode */
async function running(path, inode) {
	const found = [];
	for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
		if ((await readlink(`/proc/${pid}/exe`).catch(() => '')) !== path) continue;
		const it = await stat(`/proc/${pid}/exe`).catch(() => undefined);
		if (it?.ino === inode) found.push(Number(pid));
	}
	return found;
}

test('an app in one file replaces itself by what is signed for it and starts anew, and by nothing else', async (t) => {
	const { server } = await stack(t);
	const packed = patched(await readFile(APP), UNPACKED, IN_APPIMAGE);
	const current = /^version = "(.+)"$/m.exec(await readFile('Cargo.toml', 'utf8'))?.[1] ?? '';
	// The same app, that takes itself for a later one.
	const newer = patched(packed, current, NEWER);
	const { address, offered } = await shop(t, newer);
	const [key, other] = [new Key(), new Key()];
	// What an AppImage is to an updater: one program in a file, which its starter names in the environment.
	const folder = await scratch();
	atEnd(t, folder.remove);
	const file = join(folder.path, 'Foreman.AppImage');
	await writeFile(file, packed, { mode: 0o755 });
	const before = await stat(file);
	const env = {
		FOREMAN_UPDATE_ADDRESS: `${address}/manifest`,
		FOREMAN_UPDATE_KEY: key.public,
		APPIMAGE: file
	};
	const desk = await Desk.of(t, { env });

	let window = await desk.open([], file);
	await enter(window, server);
	const untouched = async () => {
		assert.equal((await stat(file)).ino, before.ino);
		assert.equal(digest(await readFile(file)), digest(packed));
		assert.deepEqual(await readdir(folder.path), ['Foreman.AppImage']);
		// The app goes on; what it starts is for a moment a copy of itself.
		await eventually(async () => (await running(file, before.ino)).length === 1);
	};
	for (const signature of [other.sign(newer, NEWER), key.sign(packed, NEWER), key.sign(newer, '0.0.1')]) {
		Object.assign(offered, { version: NEWER, signature });
		await lookForUpdate(window);
		await window.press(say('update_install'));
		await window.text(say('problem_update_forged'));
		await untouched();
	}
	// One that is older is not offered, however well it is signed.
	Object.assign(offered, { version: '0.0.1', signature: key.sign(newer, '0.0.1'), fetched: 0 });
	await lookForUpdate(window);
	await window.text(say('update_none'));
	assert.equal(offered.fetched, 0);
	await untouched();

	Object.assign(offered, { version: NEWER, signature: key.sign(newer, NEWER) });
	await lookForUpdate(window);
	await window.text(say('update_title', { version: NEWER }));
	await window.press(say('update_install'));
	const [pid] = await eventually(async () => {
		const now = await stat(file).catch(() => undefined);
		const found = now && now.ino !== before.ino ? await running(file, now.ino) : [];
		return found.length === 1 && found;
	}, 60_000);
	assert.equal(digest(await readFile(file)), digest(newer), 'what was signed lies there');
	assert.equal((await stat(file)).mode & 0o777, 0o755);
	assert.deepEqual(await readdir(folder.path), ['Foreman.AppImage'], 'and nothing beside it');
	await eventually(async () => (await desk.windows()) === 1);
	await window.close().catch(() => undefined);
	process.kill(pid, 'SIGTERM');
	await eventually(async () => (await running(file, (await stat(file)).ino)).length === 0);

	// What was installed says so itself, is still signed in, and wants nothing newer.
	window = await desk.open([], file);
	await window.until("return location.pathname === '/' && !!document.querySelector('main')");
	await window.go('/settings/about');
	// It and its server are of different versions now, and it says so.
	await window.text(say('about_skew', { app: NEWER, server: current }));
	await window.press(say('update_look'));
	await window.text(say('update_none'));
	await desk.keep('updated');
});

test('an app that was not told of updates does not speak of them', async (t) => {
	const { server } = await stack(t);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/about');
	await window.text(say('about_system'));
	await window.text(say('about_same'));
	const seen = await window.run('return document.body.innerText');
	assert.ok(!seen.includes(say('update_look')), seen);
});

test('a server that speaks another protocol is said to', async (t) => {
	const { server } = await stack(t);
	const info = await server.api('/api/v1/server');
	const another = info.protocol_version + 1;
	const change = (/** @type {string} */ path, /** @type {string} */ said) =>
		path === '/api/v1/server' ? JSON.stringify({ ...JSON.parse(said), protocol_version: another }) : said;
	const proxy = createServer(passing(server, change)).listen(0, '127.0.0.1');
	await new Promise((on) => proxy.once('listening', on));
	atEnd(t, () => void proxy.close().closeAllConnections());
	const { port } = /** @type {import('node:net').AddressInfo} */ (proxy.address());
	server.publicUrl = `http://127.0.0.1:${port}`;
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/about');
	await window.text(say('about_protocol_skew', { server: another, app: info.protocol_version }));
	const seen = await window.run('return document.body.innerText');
	assert.ok(!seen.includes(say('about_same')), seen);
});
