// @ts-check
// Updates: unmentioned until somebody says where they are; then only what the key signed, for the version that it was
// signed for, is taken, and nothing before a person says so.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { atEnd, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

const PACKAGE = Buffer.from('what would be installed');
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

/** A place that announces updates. @param {import('node:test').TestContext} t */
async function shop(t) {
	const offered = { version: '9.9.9', signature: '', fetched: 0 };
	const server = createServer((request, answer) => {
		if (request.url === '/package') {
			offered.fetched++;
			return void answer.end(PACKAGE);
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

	/** Nothing on the page moves any more. */
	const about = async () => {
		await window.go('/settings/about');
		await window.text(say('about_same'));
		await window.press(say('update_look'));
	};

	/** What becomes of an offer that a person takes. @param {string} version @param {string} signature @param {string} words */
	const take = async (version, signature, words) => {
		Object.assign(offered, { version, signature, fetched: 0 });
		await about();
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
	await about();
	await window.text(say('update_none'));
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
