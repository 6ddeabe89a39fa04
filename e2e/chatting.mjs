// @ts-check
// A conversation with a model on one's own device, as the journeys about chats need it.
import { DESKTOP, NOT_SIGNED_IN, open, signIn } from './browser.mjs';
import { Ollama } from './ollama.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

/**
 * A server, a device with an Ollama on it, and a browser.
 * @param {import('node:test').TestContext} t @param {object} [shape] @param {RegExp} [expectErrors]
 * @param {Record<string, string>} [env] of the server
 */
export async function scene(t, shape = DESKTOP, expectErrors = NOT_SIGNED_IN, env = {}) {
	const ollama = await new Ollama().start(t);
	await ollama.says('You asked: {question}');
	// The agent inherits it, as it would from the machine.
	process.env.OLLAMA_HOST = ollama.host;
	const { server, agent } = await stack(t, { device: 'home-server', env });
	await eventually(async () => (await server.api('/api/v1/models')).items.length > 0);
	const page = await open(t, { ...shape, expectErrors });
	await signIn(page, server);
	return { ollama, server, agent, page };
}

/** @param {Page} page */
export const question = (page) => page.getByRole('textbox', { name: say('chat_question') });
/** @param {Page} page */
export const answers = (page) => page.getByRole('article', { name: say('chat_answer') });

/** @param {Page} page @param {string} text */
export async function ask(page, text) {
	await question(page).fill(text);
	await page.getByRole('button', { name: say('chat_send'), exact: true }).click();
}

/** @param {Page} page @param {import('./stack.mjs').Server} server @param {string} text */
export async function begin(page, server, text) {
	await page.goto(`${server.url}/chat/new`);
	await ask(page, text);
	await page.waitForURL(/\/chat\/[0-9a-f-]{36}/);
}
