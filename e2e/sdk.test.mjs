// @ts-check
// The vendors' own client libraries, Python and Node, work by changing their base address: in both formats, against
// models of both, with tools, pictures and streams. The vendors are stubs that speak the published formats.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { PROGRAMS, Program, Server, atEnd, scratch } from './stack.mjs';

const run = promisify(execFile);
const FOLDER = resolve('e2e/sdk');
const PYTHON = join(FOLDER, '.venv/bin/python');
const GPT = 'openai/gpt-4o';
const CLAUDE = 'anthropic/claude-haiku-4-5';

/** @param {import('node:test').TestContext} test */
async function scene(test) {
	const folder = await scratch();
	atEnd(test, folder.remove);
	const server = await new Server({ data: join(folder.path, 'server') }).start();
	atEnd(test, () => server.stop());
	await server.api('/api/v1/vault', { json: { password: 'the master password' } });
	for (const [kind, models] of [
		['openai', ['gpt-4o', 'text-embedding-3-small']],
		['anthropic', ['claude-haiku-4-5']]
	]) {
		const stub = new Program(join(PROGRAMS, 'model-stub'), /** @type {string[]} */ (models), {
			input: null
		});
		atEnd(test, () => stub.stop());
		const [, base] = await stub.line(/^listening on (\S+)/);
		await server.api('/api/v1/providers', {
			json: { kind, name: kind, base_url: base, key: 'sk-of-the-vendor' }
		});
	}
	const made = await server.api('/api/v1/model-keys', { json: { name: 'sdk' } });
	return { server, secret: made.secret };
}

/** @param {any} heard */
function check(heard) {
	for (const model of [GPT, CLAUDE]) {
		const name = model.split('/')[1];
		const said = `${name} heard: good morning to all`;
		const { openai, anthropic } = { openai: heard.openai[model], anthropic: heard.anthropic[model] };
		assert.equal(openai.whole, said);
		assert.equal(openai.input, 12);
		assert.equal(openai.stream, said);
		assert.equal(openai.counted, 12);
		assert.equal(openai.uncounted, true);
		assert.match(openai.reason, new RegExp(`^${name} at .*: asked for$`));
		assert.deepEqual(openai.called, ['tool_calls', 'weather', { city: 'Paris', days: 2 }]);
		assert.equal(anthropic.whole, said);
		assert.equal(anthropic.input, 12);
		assert.equal(anthropic.stream, said);
		assert.equal(anthropic.counted, 6);
		assert.deepEqual(anthropic.called, ['tool_use', 'weather', { city: 'Paris', days: 2 }]);
	}
	// What a model of each vendor was told of a tool's result and of a picture, in its own format.
	for (const by of [heard.openai, heard.anthropic]) {
		assert.equal(by[GPT].answered, 'gpt-4o heard: sunny');
		assert.equal(by[CLAUDE].answered, 'claude-haiku-4-5 heard: [result sunny]');
		assert.equal(by[GPT].picture, 'gpt-4o heard: see [image_url]');
		assert.equal(by[CLAUDE].picture, 'claude-haiku-4-5 heard: see [image]');
	}
	assert.deepEqual([heard.models, heard.anthropic_models, heard.embedding], [true, true, 1]);
	for (const [name, status] of heard.unknown) assert.deepEqual([name, status], ['NotFoundError', 404]);
	for (const [name] of heard.broken) assert.match(name, /^API(Status)?Error$/);
}

test('the Node libraries of OpenAI and Anthropic', async (t) => {
	const { server, secret } = await scene(t);
	const { stdout } = await run(process.execPath, [
		join(FOLDER, 'clients.mjs'),
		server.url,
		secret,
		GPT,
		CLAUDE
	]);
	check(JSON.parse(stdout));
});

test('the Python libraries of OpenAI and Anthropic', async (t) => {
	assert.ok(existsSync(PYTHON), 'python3 with the libraries: ./dev test e2e makes it');
	const { server, secret } = await scene(t);
	const { stdout } = await run(PYTHON, [join(FOLDER, 'clients.py'), server.url, secret, GPT, CLAUDE]);
	check(JSON.parse(stdout));
});
