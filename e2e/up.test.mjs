// @ts-check
// `./dev up` as a newcomer runs it, and each thing that can be wrong with it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ollama } from './ollama.mjs';
import { PROGRAMS, Program, atEnd, eventually, scratch } from './stack.mjs';

/** @param {import('node:test').TestContext} t */
async function dataFolder(t) {
	const folder = await scratch();
	atEnd(t, folder.remove);
	return join(folder.path, 'data');
}

/** It may have to build first. */
const BUILD = 600_000;

/** @param {string} data @param {Record<string, string>} [env] */
function up(data, listen = '127.0.0.1:0', env = {}) {
	return new Program('./dev', ['up', '--no-open'], {
		env: { FOREMAN_DATA: data, FOREMAN_LISTEN: listen, ...env }
	});
}

/** Command lines of everything that runs with this data folder. @param {string} data */
function processesOf(data) {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.map((pid) => {
			try {
				return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
			} catch {
				return '';
			}
		})
		.filter((line) => line.includes(data));
}

/** An admin's call to the server of an `up`. @param {string} url @param {string} data @param {string} path @param {any} [json] */
async function call(url, data, path, json) {
	const bearer = execFileSync(
		join(PROGRAMS, 'foreman-server'),
		['token', 'create', '--name', 'test', '--role', 'admin'],
		{
			env: { ...process.env, FOREMAN_DATA: data },
			encoding: 'utf8'
		}
	).trim();
	const response = await fetch(url + path, {
		method: json ? 'POST' : 'GET',
		headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
		body: json && JSON.stringify(json)
	});
	assert.ok(response.ok, `${path}: ${response.status}`);
	return response.json();
}

test('one command brings this machine online, stops cleanly, and continues with the same data', async (t) => {
	const data = await dataFolder(t);
	const first = up(data);
	atEnd(t, () => first.stop());
	const [, url] = await first.line(/^Foreman is at (http:\/\/127\.0\.0\.1:\d+)$/, BUILD);
	const device = await eventually(async () => {
		const { items } = await call(url, data, '/api/v1/devices');
		return items.find((/** @type {any} */ device) => device.status === 'online' && device.latest);
	});
	assert.ok(device.latest.memory_total > 0);

	const lines = first.lines.join('\n');
	const [, ticket] = lines.match(/#ticket=(\S+)/) ?? [];
	assert.ok(ticket, 'the address that signs in is printed');
	for (const line of processesOf(data))
		assert.ok(!line.includes(ticket), `a secret in a command line: ${line}`);
	for (const log of readdirSync(join(data, 'logs'))) {
		const text = readFileSync(join(data, 'logs', log), 'utf8');
		assert.ok(!text.includes(ticket) && !/Setup code/.test(text), `a secret in ${log}`);
	}

	const second = up(data);
	assert.equal((await second.ended).code, 1);
	assert.match(second.lines.join('\n'), /Another \.\/dev up \(process \d+\) is using/);

	assert.deepEqual(await first.stop('SIGINT'), { code: 0, signal: null });
	assert.match(first.lines.join('\n'), /Foreman has stopped/);
	assert.deepEqual(processesOf(data), []);

	const again = up(data);
	atEnd(t, () => again.stop());
	const [, next] = await again.line(/^Foreman is at (\S+)$/, BUILD);
	await eventually(async () => {
		const { items } = await call(next, data, '/api/v1/devices');
		assert.deepEqual(
			items.map((/** @type {any} */ item) => item.id),
			[device.id]
		);
		return items[0].status === 'online';
	});
	assert.deepEqual(await again.stop('SIGTERM'), { code: 0, signal: null });
	assert.deepEqual(processesOf(data), []);
});

test('a model on this machine is found by itself and answers with no key', async (t) => {
	const ollama = await new Ollama().start(t);
	await ollama.says('Rayleigh scattering.');
	const data = await dataFolder(t);
	const started = up(data, undefined, { OLLAMA_HOST: ollama.host });
	atEnd(t, () => started.stop());
	const [, url] = await started.line(/^Foreman is at (\S+)$/, BUILD);
	await eventually(async () => {
		const { items } = await call(url, data, '/api/v1/models');
		return items.some((/** @type {any} */ model) => model.id === 'llama3.2:latest');
	});
	const question = { model: 'auto', messages: [{ role: 'user', content: 'Why is the sky blue?' }] };
	const answered = await call(url, data, '/v1/chat/completions', question);
	assert.equal(answered.choices[0].message.content, 'Rayleigh scattering.');
	assert.deepEqual(await started.stop('SIGINT'), { code: 0, signal: null });
});

test('a running task outlives it, and it says so', async (t) => {
	const data = await dataFolder(t);
	const first = up(data);
	atEnd(t, () => first.stop());
	const [, url] = await first.line(/^Foreman is at (\S+)$/, BUILD);
	const { items } = await call(url, data, '/api/v1/devices');
	const go = join(data, 'go');
	const shell = `echo before; while [ -d ${data} ] && [ ! -e ${go} ]; do sleep 0.1; done; echo after`;
	const task = await call(url, data, `/api/v1/devices/${items[0].id}/tasks`, { shell });
	await eventually(async () => (await call(url, data, `/api/v1/tasks/${task.id}`)).output_bytes > 0);
	await first.stop('SIGTERM');
	assert.match(first.lines.join('\n'), /1 task goes on running/);

	writeFileSync(go, '');
	const again = up(data);
	atEnd(t, () => again.stop());
	const [, next] = await again.line(/^Foreman is at (\S+)$/, BUILD);
	await eventually(async () => (await call(next, data, `/api/v1/tasks/${task.id}`)).state === 'succeeded');
	await again.stop();
});

test('processes that a killed one left behind are ended by the next', async (t) => {
	const data = await dataFolder(t);
	const first = up(data);
	await first.line(/^Foreman is at /, BUILD);
	await first.stop('SIGKILL');
	const again = up(data);
	atEnd(t, () => again.stop());
	await again.line(/left behind/, BUILD);
	await again.line(/^Foreman is at /, BUILD);
	await again.stop();
	assert.deepEqual(processesOf(data), []);
});

test('it ends with the reason when the server ends', async (t) => {
	const data = await dataFolder(t);
	const program = up(data);
	atEnd(t, () => program.stop());
	await program.line(/^Foreman is at /, BUILD);
	process.kill(Number(readFileSync(join(data, 'run/server.pid'), 'utf8')), 'SIGKILL');
	assert.equal((await program.ended).code, 1);
	assert.match(program.lines.join('\n'), /The server ended by itself/);
	assert.deepEqual(processesOf(data), []);
});

test('a port in use is one sentence with what to do', async (t) => {
	const holder = createServer().listen(0, '127.0.0.1');
	atEnd(t, () => holder.close());
	await new Promise((listening) => holder.once('listening', listening));
	const { port } = /** @type {import('node:net').AddressInfo} */ (holder.address());
	const program = up(await dataFolder(t), `127.0.0.1:${port}`);
	assert.equal((await program.ended).code, 1);
	assert.match(
		program.lines.at(-1) ?? '',
		new RegExp(`Port ${port} is in use.*FOREMAN_LISTEN=127.0.0.1:${port + 1}`)
	);
});

test('a folder that cannot be written is one sentence with what to do', async (t) => {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const file = join(folder.path, 'file');
	writeFileSync(file, '');
	const program = up(join(file, 'data'));
	assert.equal((await program.ended).code, 1);
	assert.match(program.lines.at(-1) ?? '', /cannot be made \(Not a directory\).*FOREMAN_DATA=/);
});

test('missing and old tools are one sentence each', async (t) => {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const bin = join(folder.path, 'bin');
	mkdirSync(bin);
	const tool = (/** @type {string} */ name, /** @type {string} */ says) =>
		writeFileSync(join(bin, name), `#!/bin/sh\necho "${says}"\n`, { mode: 0o755 });
	const attempt = async () => {
		const PATH = `${bin}:/bin:/usr/bin`;
		const program = new Program('./dev', ['up'], { env: { PATH, FOREMAN_DATA: join(folder.path, 'data') } });
		assert.equal((await program.ended).code, 1);
		return program.lines.at(-1) ?? '';
	};
	tool('cargo', 'cargo 1.60.0');
	tool('rustc', 'rustc 1.60.0 (old)');
	assert.match(
		await attempt(),
		/Rust 1\.60\.0 is too old, 1\.\d+ or newer is needed\. Run: rustup update stable/
	);
	tool('rustc', 'rustc 9.0.0 (new)');
	tool('node', 'v18.1.0');
	tool('npm', '9');
	assert.match(await attempt(), /Node v18\.1\.0 is too old\. Install Node 20\S* or newer/);
	assert.ok(!existsSync(join(folder.path, 'data')), 'nothing was made before the tools were there');
});
