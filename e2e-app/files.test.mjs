// @ts-check
// Files in the app's window: saved on this machine, shown, and sent to a device. None of it goes through the browser
// that the window is.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Agent, atEnd, eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

const LARGE = 50 * 1024 * 1024;
/** The app writes down how far it is after so many bytes at the latest. */
const WRITTEN_DOWN = 16 * 1024 * 1024;

/** One black dot. */
const PICTURE = Buffer.from(
	'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=',
	'base64'
);

/** @param {Buffer} bytes */
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** @param {Desk} desk */
const saved = (desk) => readdir(join(desk.path, 'Downloads')).catch(() => []);

/** What is there so far of the one file that is being saved. @param {Desk} desk */
async function part(desk) {
	const [name] = (await saved(desk)).filter((one) => one.endsWith('.part'));
	return name ? stat(join(desk.path, 'Downloads', name)).catch(() => undefined) : undefined;
}

/**
 * Does something while a file is on its way, however fast that goes: from the moment in which more than `size` bytes of
 * it are there the device sends nothing more, until it is done.
 * @param {Desk} desk @param {Agent} agent @param {number} size @param {() => Promise<unknown>} work
 */
async function underWay(desk, agent, size, work) {
	const before = await eventually(async () => {
		const now = await part(desk);
		return now && now.size > size && now;
	});
	const pid = /** @type {number} */ (agent.program?.child.pid);
	process.kill(pid, 'SIGSTOP');
	try {
		await work();
	} finally {
		process.kill(pid, 'SIGCONT');
	}
	return before;
}

/**
 * A device with a folder of files, and the app signed in.
 * @param {import('node:test').TestContext} t @param {Record<string, Buffer>} files
 */
async function begun(t, files) {
	const desk = await Desk.of(t, { services: true });
	const { server, folder: own } = await stack(t);
	const agent = new Agent({ state: join(own, 'agent') });
	atEnd(t, () => agent.stop());
	await agent.join(server, 'forge', ['bash', 'read', 'write', 'logs']);
	const folder = join(desk.path, 'shared');
	await mkdir(folder);
	for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
	const window = await desk.open();
	await enter(window, server);
	return { server, agent, desk, window, folder };
}

/** @param {import('./webdriver.mjs').Window} window @param {string | undefined} device @param {string} path */
const look = (window, device, path) =>
	window.run(
		`location.assign(arguments[0])`,
		`/devices/${device}/files/view?path=${encodeURIComponent(path)}`
	);

test('a file of 50 MB is saved byte for byte, a second one beside it, and its folder is shown', async (t) => {
	const large = randomBytes(LARGE);
	const { agent, desk, window, folder } = await begun(t, { 'large.bin': large });
	await look(window, agent.id, join(folder, 'large.bin')).catch(() => undefined);
	await window.text(say('files_binary'));
	await window.press(say('files_download'));
	await window.text(say('saves_done', { name: 'large.bin' }));
	const kept = await readFile(join(desk.path, 'Downloads/large.bin'));
	assert.equal(digest(kept), digest(large));
	await desk.keep('saved');
	await window.press(say('saves_show'));
	await eventually(async () =>
		desk.services.said.some((one) => one.revealed?.endsWith('/Downloads/large.bin'))
	);

	await window.press(say('files_download'));
	await window.text(say('saves_done', { name: 'large (2).bin' }));
	assert.deepEqual((await saved(desk)).sort(), ['large (2).bin', 'large.bin']);
});

test('a file that is cancelled leaves nothing, and one that is paused goes on', async (t) => {
	const large = randomBytes(6 * LARGE);
	const { agent, desk, window, folder } = await begun(t, { 'huge.bin': large });
	await look(window, agent.id, join(folder, 'huge.bin')).catch(() => undefined);
	await window.text(say('files_binary'));
	await window.press(say('files_download'));
	await underWay(desk, agent, 0, async () => {
		await window.press(say('saves_cancel', { name: 'huge.bin' }));
		await window.until(
			`return !document.querySelector('section[aria-label="' + arguments[0] + '"]')`,
			say('saves_title')
		);
	});
	await eventually(async () => (await saved(desk)).length === 0);

	await window.press(say('files_download'));
	await underWay(desk, agent, 0, async () => {
		await window.press(say('saves_pause', { name: 'huge.bin' }));
		await window.until(
			`return [...document.querySelectorAll('button')].some((it) => it.getAttribute('aria-label') === arguments[0])`,
			say('saves_resume', { name: 'huge.bin' })
		);
	});
	assert.ok(
		(await saved(desk)).every((name) => name.endsWith('.part')),
		'nothing has its name yet'
	);
	await window.press(say('saves_resume', { name: 'huge.bin' }));
	await window.text(say('saves_done', { name: 'huge.bin' }));
	assert.equal(digest(await readFile(join(desk.path, 'Downloads/huge.bin'))), digest(large));
});

test('an app that is killed goes on with what it was saving, and leaves nothing else behind', async (t) => {
	const large = randomBytes(6 * LARGE);
	const { agent, desk, window, folder } = await begun(t, { 'huge.bin': large });
	const downloads = join(desk.path, 'Downloads');
	await look(window, agent.id, join(folder, 'huge.bin')).catch(() => undefined);
	await window.text(say('files_binary'));
	await window.press(say('files_download'));
	const before = await underWay(desk, agent, 2 * WRITTEN_DOWN, () => desk.kill());
	assert.ok(before.size < large.length, 'it is on its way');
	assert.deepEqual((await saved(desk)).length, 1);
	assert.ok(await part(desk), 'what is there of it has no name yet');

	// Nobody presses anything.
	const again = await desk.open();
	await again.text(say('saves_done', { name: 'huge.bin' }));
	assert.deepEqual(await saved(desk), ['huge.bin']);
	const path = join(downloads, 'huge.bin');
	assert.equal(digest(await readFile(path)), digest(large));
	assert.equal((await stat(path)).ino, before.ino, 'it is the same file, gone on with');
	const list = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/saves.json');
	const listed = async () => JSON.parse(await readFile(list, 'utf8'));
	await eventually(async () => (await listed()).length === 0);

	// One that its person paused waits, and is still theirs to throw away.
	await look(again, agent.id, join(folder, 'huge.bin')).catch(() => undefined);
	await again.press(say('files_download'));
	await underWay(desk, agent, 0, async () => {
		await again.press(say('saves_pause', { name: 'huge.bin' }));
		await eventually(async () => (await listed())[0]?.paused);
		await desk.kill();
	});
	// What the window itself made and the app did not get to write whole: nobody can go on with that.
	const [waiting] = await listed();
	const torn = join(downloads, '.foreman-torn.part');
	await writeFile(torn, 'the beginning');
	const written = { ...waiting.part, path: torn, name: 'torn.txt' };
	await writeFile(list, JSON.stringify([waiting, { source: null, part: written, paused: false }]));
	const last = await desk.open();
	await last.press(say('saves_cancel', { name: 'huge.bin' }));
	await eventually(async () => (await saved(desk)).length === 1);
	assert.deepEqual(await saved(desk), ['huge.bin']);
	await eventually(async () => (await listed()).length === 0);
});

test('a picture of a device is shown', async (t) => {
	const { agent, desk, window, folder } = await begun(t, { 'dot.png': PICTURE });
	await look(window, agent.id, join(folder, 'dot.png')).catch(() => undefined);
	await window.until(
		`const shown = document.querySelector('main img'); return shown?.complete && shown.naturalWidth > 0 && shown.src.startsWith('blob:')`
	);
	await desk.keep('picture');
});

test('the output of a task is saved under the name that the server gives', async (t) => {
	const { server, agent, desk, window } = await begun(t, {});
	const { id } = await server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell: 'seq 1 20000' } });
	await eventually(async () => (await server.api(`/api/v1/tasks/${id}`)).state === 'succeeded');
	await window.go(`/tasks/${id}`);
	await window.press(say('output_download'));
	await window.text(say('saves_done', { name: `task-${id}.log` }));
	const text = await readFile(join(desk.path, `Downloads/task-${id}.log`), 'utf8');
	assert.equal(text, Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join(''));
});

test('a large file is sent to a device in pieces and arrives byte for byte', async (t) => {
	const { agent, window, folder } = await begun(t, {});
	await window
		.run(`location.assign(arguments[0])`, `/devices/${agent.id}/files?path=${encodeURIComponent(folder)}`)
		.catch(() => undefined);
	// As the chooser of the system hands it over; every piece is made on the way.
	await window.until(
		`const field = document.querySelector('input[type=file]');
		if (!field) return false;
		const block = Uint8Array.from({ length: 1024 * 1024 }, (_, index) => (index * 31) & 255);
		const file = new File(Array.from({ length: 50 }, () => block), 'sent.bin');
		const chosen = new DataTransfer();
		chosen.items.add(file);
		field.files = chosen.files;
		field.dispatchEvent(new Event('change', { bubbles: true }));
		return true;`
	);
	const block = Buffer.from(Array.from({ length: 1024 * 1024 }, (_, index) => (index * 31) & 255));
	const sent = Buffer.concat(Array.from({ length: 50 }, () => block));
	await eventually(async () => {
		const there = await readFile(join(folder, 'sent.bin')).catch(() => undefined);
		return there?.length === sent.length && digest(there) === digest(sent);
	}, 60_000);
});
