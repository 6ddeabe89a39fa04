// @ts-check
// `./dev up` where there is a display: the app's window, signed in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEnd, eventually, Program, PROGRAMS, scratch } from '../e2e/stack.mjs';
import { APP, Desk } from './desk.mjs';

/** It may have to build first. */
const BUILD = 600_000;
/** A token of a program. */
const BEARER = /fma_[\w-]{20,}/;

/** @param {import('node:test').TestContext} t @param {Desk} desk @param {string[]} args */
async function up(t, desk, args = []) {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const data = join(folder.path, 'data');
	const env = {
		...desk.env,
		// Building needs what Rust and Node keep there.
		HOME: process.env.HOME,
		FOREMAN_APP: APP,
		FOREMAN_DATA: data,
		FOREMAN_LISTEN: '127.0.0.1:0'
	};
	const program = new Program('./dev', ['up', ...args], { env });
	atEnd(t, () => program.stop());
	const [, url] = await program.line(/^Foreman is at (\S+)$/, BUILD);
	return { program, url, data };
}

/** What the app knows: its servers. @param {Desk} desk @returns {Promise<any[]>} */
async function servers(desk) {
	const path = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/servers.json');
	return JSON.parse(await readFile(path, 'utf8').catch(() => '{}')).servers ?? [];
}

/** Whether somebody asked a server for the tasks that Home shows. @param {string} url @param {string} data */
async function homeWasAsked(url, data) {
	const args = ['token', 'create', '--data', data, '--name', 'test', '--role', 'admin'];
	const bearer = execFileSync(join(PROGRAMS, 'foreman-server'), args, { encoding: 'utf8' }).trim();
	const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${bearer}` } });
	return /^foreman_http_requests_total\{[^}]*"\/api\/v1\/tasks"[^}]*"200"/m.test(await response.text());
}

test('it opens the app’s window, signed in by a token of which nothing is on the disk, and takes the window along when it stops', async (t) => {
	const desk = await Desk.of(t);
	const { program, url, data } = await up(t, desk);
	await program.line(/^The app's window is opening/);
	const [server] = await eventually(async () => {
		const known = await servers(desk);
		return known.length > 0 && known;
	});
	assert.equal(server.address.replace(/\/$/, ''), url);
	// The window shows the dashboard and not the welcome: nobody else is there to ask for what Home shows.
	await eventually(() => homeWasAsked(url, data));
	await desk.keep('up');
	assert.deepEqual(await program.stop('SIGINT'), { code: 0, signal: null });
	assert.match(program.lines.join('\n'), /Stopping the app/);
	// The address that signs a browser in once is said; the app's token is neither said nor kept in any file.
	assert.doesNotMatch(program.lines.join('\n'), BEARER);
	for (const folder of [data, desk.path]) {
		const entries = await readdir(folder, { recursive: true, withFileTypes: true });
		for (const entry of entries.filter((one) => one.isFile())) {
			const path = join(entry.parentPath, entry.name);
			assert.doesNotMatch(await readFile(path, 'latin1').catch(() => ''), BEARER, path);
		}
	}
});

test('with --no-open the window stays away', async (t) => {
	const desk = await Desk.of(t);
	const { program } = await up(t, desk, ['--no-open']);
	await program.line(/^Open it signed in/);
	assert.deepEqual(await servers(desk), []);
	assert.deepEqual(await program.stop('SIGINT'), { code: 0, signal: null });
});
