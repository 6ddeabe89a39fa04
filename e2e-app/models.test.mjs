// @ts-check
// Models in the app's window: those of a device, pulled and deleted, and keys for clients that ask through the server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from '../e2e/ollama.mjs';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

const OLD = 'llama3.2:latest';
const NEW = 'qwen3:8b';

/** The line of a model, as it is read. */
const LINE = `const lines = [...document.querySelectorAll('article li')].map((it) => it.innerText.replace(/\\s+/g, ' '));
	return lines.find((line) => line.includes(arguments[0]))`;

test('a model of a device is pulled with progress, seen in memory and on the device’s card, and deleted', async (t) => {
	const ollama = await new Ollama([`${OLD}=2100000000`]).start(t);
	process.env.OLLAMA_HOST = ollama.host;
	const { server } = await stack(t, { device: 'home-server' });
	await eventually(async () => (await server.api('/api/v1/models')).items.length > 0);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);

	await window.go('/models');
	const line = (/** @type {string} */ model, /** @type {string} */ words) =>
		window.until(`${LINE}?.includes(arguments[1])`, model, words);
	await line(OLD, say('ollama_loaded'));
	await line(OLD, '2.1 GB');

	// Held after each step, so that each can be seen; four steps make the whole of it.
	await ollama.hold(1);
	await window.fill(say('pull_model'), NEW);
	await window.press(say('pull'));
	await window.text('pulling manifest');
	const far = (/** @type {number} */ percent) =>
		window.until(
			`return document.querySelector('[role=meter][aria-label="' + arguments[0] + '"]')?.getAttribute('aria-valuenow') === arguments[1]`,
			say('pull_progress', { model: NEW }),
			String(percent)
		);
	await ollama.goOn(1);
	await far(25);
	await ollama.goOn(1);
	await far(50);
	await desk.keep('pull');
	await ollama.release();
	await window.text(say('pull_done', { model: NEW }));
	await window.until(LINE, NEW);
	assert.equal((await ollama.state()).pulls, 1);

	await window.press(say('ollama_delete_named', { model: OLD }));
	await window.text(say('ollama_delete_text'));
	await window.press(say('delete'));
	await eventually(async () => (await ollama.state()).names.join() === NEW);
	await window.until(`return !(function () { ${LINE} }).apply(undefined, arguments)`, OLD);

	await ollama.loads(NEW);
	await line(NEW, say('ollama_loaded'));
	await window.go('/devices');
	await window.text(say('device_models_loaded', { models: NEW }));
	await ollama.loads();
	await window.until(`return !document.body.innerText.includes(arguments[0])`, NEW);
});

test('what is pasted into a client leads to the server, and not to the window', async (t) => {
	const { server } = await stack(t);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server, undefined, 'admin');
	await window.go('/models/keys?new');
	await window.fill(say('key_name'), 'laptop');
	await window.press(say('key_create'));
	await window.text(say('key_secret', { name: 'laptop' }));
	await window.text(`OPENAI_BASE_URL=${server.url}/v1`);
	await desk.keep('key');
});
