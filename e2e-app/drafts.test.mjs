// @ts-check
// What was typed and not sent: it is there after the app was killed, sealed, for its own server, and gone after a
// sign-out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from '../e2e/ollama.mjs';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

const EARLIER = 'a letter to the whale';
const COMMAND = 'harpoon --password hunter2';
const QUESTION = 'where do whales sleep';
const TYPED = new RegExp([COMMAND, QUESTION].join('|'));

/** Until the program around the page has it: pages hand over what is typed on the way. @param {import('./webdriver.mjs').Window} window @param {string} text */
const handedOver = (window, text) =>
	window.until(
		`window.__TAURI_INTERNALS__.invoke('drafts').then((all) => (window.foremanDrafts = JSON.stringify(all)));
		return window.foremanDrafts?.includes(arguments[0])`,
		text
	);

/** Until a field says it. @param {import('./webdriver.mjs').Window} window @param {string} text */
const inField = (window, text) =>
	window.until(
		`return [...document.querySelectorAll('textarea')].some((it) => it.value === arguments[0])`,
		text
	);

/** @param {import('./webdriver.mjs').Window} window */
const inPage = (window) => window.run('return JSON.stringify({ ...localStorage, ...sessionStorage })');

test('what was typed is there after the app was killed, for its own server only, and in no file once somebody signed out', async (t) => {
	const ollama = await new Ollama().start(t);
	await ollama.says('a whale answers');
	process.env.OLLAMA_HOST = ollama.host;
	const [one, two] = [await stack(t, { device: 'forge' }), await stack(t, { device: 'anvil' })];
	await eventually(async () => (await one.server.api('/api/v1/models')).items.length > 0);
	const desk = await Desk.of(t);
	let window = await desk.open();
	// As an app kept it that had no better place.
	await window.text(say('app_welcome'));
	await window.run(`localStorage.setItem('chat-draft-new', arguments[0])`, EARLIER);
	await enter(window, one.server);
	await window.text('forge');
	await window.go('/chat/new');
	await inField(window, EARLIER);
	await window.go('/work?new');
	await window.fill(say('run_shell'), COMMAND);
	await handedOver(window, COMMAND);

	// A question that waits: its server is gone before it is asked.
	await window.go('/chat/new');
	await window.press(say('chat_send'));
	const chat = await window.until(`return location.pathname.match(/^\\/chat\\/[0-9a-f-]{36}$/)?.[0]`);
	await window.text('a whale answers');
	await one.server.stop('SIGKILL');
	await window.run(`document.querySelector('form.composer textarea').focus()`);
	await window.keys(QUESTION);
	await inField(window, QUESTION);
	await window.press(say('chat_send'));
	await handedOver(window, 'chat-outbox');
	await desk.kill();
	assert.deepEqual(await desk.holding(TYPED), []);

	await one.server.start();
	window = await desk.open();
	await window.text('forge');
	const page = await inPage(window);
	assert.ok(!TYPED.test(page) && !page.includes(EARLIER), page);
	await window.go(chat);
	await eventually(async () =>
		(await ollama.asked()).some((asked) => JSON.stringify(asked).includes(QUESTION))
	);
	await window.go('/work?new');
	await inField(window, COMMAND);

	await window.go('/welcome');
	await enter(window, two.server);
	await window.text('anvil');
	await window.go('/work?new');
	await inField(window, '');
	assert.doesNotMatch(
		await window.run(`return [...document.querySelectorAll('textarea')].map((it) => it.value).join()`),
		TYPED
	);

	await window.go('/settings/servers');
	await window.press(say('app_show'));
	await window.text('forge');
	await window.go('/work?new');
	await inField(window, COMMAND);
	await window.go('/settings/account');
	await window.press(say('settings_sign_out'));
	await window.text(say('app_again'));
	assert.deepEqual(await desk.holding(TYPED), []);
	await enter(window, one.server);
	await window.go('/work?new');
	await inField(window, '');
	await window.go('/chat/new');
	await inField(window, '');
});
