// @ts-check
// Chatting in the app's own window: whom one asks, a question typed, its answer as it comes, which model gave it and why.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from '../e2e/ollama.mjs';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

/** The last answer that is shown, and whether more of it comes. */
const ANSWER = `const all = document.querySelectorAll('article[aria-label="' + arguments[0] + '"]');
	const answer = all[all.length - 1];
	const found = answer && { busy: answer.getAttribute('aria-busy') === 'true', text: answer.innerText };`;

test('a question typed in the app is answered word by word, and who answered and why is under it', async (t) => {
	const ollama = await new Ollama().start(t);
	await ollama.says('You asked: {question}');
	// The agent inherits it, as it would from the machine.
	process.env.OLLAMA_HOST = ollama.host;
	const { server } = await stack(t, { device: 'home-server' });
	await eventually(async () =>
		(await server.api('/api/v1/models')).items.some((/** @type {any} */ model) => model.loaded)
	);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.go('/chat/new');
	const model = say('chat_model_on', { model: 'llama3.2:latest', device: 'home-server' });
	const why = `${model}: ${say('chat_because_local')}, ${say('chat_because_loaded')}`;
	await window.press(say('chat_model_choose', { model: 'auto' }));
	await window.text(say('chat_now', { model: why }));
	await desk.keep('chat-models');
	await window.press(say('close'));
	await window.until("return !document.querySelector('[role=dialog]')");

	await ollama.hold(2);
	await window.until(
		`const field = document.querySelector('textarea[aria-label="' + arguments[0] + '"]');
		field?.focus();
		return !!field && document.activeElement === field;`,
		say('chat_question')
	);
	await window.keys('Why is the sky blue?');
	await window.press(say('chat_send'));
	// What has come is read before the rest may come.
	await window.until(`${ANSWER} return found?.busy && found.text.includes('You asked:')`, say('chat_answer'));
	const begun = await window.run(`${ANSWER} return found.text`, say('chat_answer'));
	assert.ok(!begun.includes('sky blue?'), begun);
	await ollama.release();
	await window.until(
		`${ANSWER} return found && !found.busy && found.text.includes('You asked: Why is the sky blue?')`,
		say('chat_answer')
	);
	await window.until(`${ANSWER} return found.text.includes(arguments[1])`, say('chat_answer'), why);
	await window.text(say('chat_usage_in', { count: 11 }));
	await desk.keep('chat');
});
