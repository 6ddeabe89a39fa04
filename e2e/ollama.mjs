// @ts-check
// An Ollama-shaped server, as far as its published API is needed for finding it and chatting with it. It says what the
// test puts into its mouth and can be held in the middle of a sentence or stopped.
// Sources: https://github.com/ollama/ollama/blob/main/docs/api.md and .../docs/openai.md. It was never Ollama itself.
import { createServer } from 'node:http';
import { atEnd } from './stack.mjs';

const DIGEST = 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72';

/** @param {import('node:http').IncomingMessage} request */
async function bodyOf(request) {
	const pieces = [];
	for await (const piece of request) pieces.push(piece);
	return JSON.parse(Buffer.concat(pieces).toString() || '{}');
}

/** @param {string} name */
const model = (name) => ({
	name,
	model: name,
	size: 2_019_393_189,
	digest: DIGEST,
	modified_at: '2026-11-01T10:00:00Z',
	details: { format: 'gguf', family: 'llama', parameter_size: '3.2B', quantization_level: 'Q4_K_M' }
});

export class Ollama {
	/** @param {string[]} names */
	constructor(names = ['llama3.2:latest']) {
		this.names = names;
		/** What it answers. @type {(question: string) => string} */
		this.say = (question) => `You asked: ${question}`;
		/** How much of it at once. @type {(text: string) => readonly string[]} */
		this.pieces = (text) => text.match(/\s*\S+\s*/g) ?? [];
		/** Bodies of what it was asked. @type {any[]} */
		this.asked = [];
		/** Answers that the other side gave up. */
		this.given_up = 0;
		/** An answer stops after this many pieces until it is let go. */
		this.holdAfter = Infinity;
		/** @type {(() => void)[]} */
		this.held = [];
		this.port = 0;
		/** @type {Set<import('node:net').Socket>} */
		this.open = new Set();
	}

	get host() {
		return `127.0.0.1:${this.port}`;
	}

	/** @param {import('node:test').TestContext} [test] */
	async start(test) {
		const server = createServer((request, response) => void this.answer(request, response));
		server.on('connection', (socket) => {
			this.open.add(socket);
			socket.on('close', () => this.open.delete(socket));
		});
		await new Promise((listening) => server.listen(this.port, '127.0.0.1', () => listening(null)));
		this.port = /** @type {import('node:net').AddressInfo} */ (server.address()).port;
		this.server = server;
		if (test) atEnd(test, () => this.stop());
		return this;
	}

	/** As when somebody ends it: nothing listens any more. */
	async stop() {
		const { server } = this;
		if (!server?.listening) return;
		const closed = new Promise((done) => server.close(() => done(null)));
		for (const socket of this.open) socket.destroy();
		await closed;
	}

	/** What is held goes on, and nothing is held any more. */
	release() {
		this.holdAfter = Infinity;
		for (const go of this.held.splice(0)) go();
	}

	/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
	async answer(request, response) {
		const path = new URL(request.url ?? '/', 'http://x').pathname;
		const json = (/** @type {any} */ body) => {
			response.writeHead(200, { 'content-type': 'application/json' });
			response.end(JSON.stringify(body));
		};
		const body = await bodyOf(request).catch(() => ({}));
		if (path === '/api/version') return json({ version: '0.12.6' });
		if (path === '/api/tags') return json({ models: this.names.map(model) });
		if (path === '/api/ps')
			return json({
				models: this.names.slice(0, 1).map((name) => ({ ...model(name), size_vram: 2_019_393_189 }))
			});
		if (path === '/api/show')
			return json({
				details: model(body.model ?? '').details,
				model_info: { 'general.architecture': 'llama', 'llama.context_length': 131_072 },
				capabilities: ['completion', 'tools', 'vision']
			});
		if (path === '/v1/models')
			return json({
				object: 'list',
				data: this.names.map((id) => ({ id, object: 'model', owned_by: 'library' }))
			});
		if (path === '/v1/chat/completions') return this.chat(body, response);
		response.writeHead(404).end();
	}

	/** @param {any} body @param {import('node:http').ServerResponse} response */
	async chat(body, response) {
		this.asked.push(body);
		const last = body.messages.at(-1).content;
		const question =
			typeof last === 'string' ? last : last.map((/** @type {any} */ part) => part.text ?? '').join('');
		const words = this.pieces(this.say(question));
		let gone = false;
		response.on('close', () => {
			if (!response.writableFinished) {
				gone = true;
				this.given_up += 1;
			}
		});
		response.writeHead(200, { 'content-type': 'text/event-stream' });
		const send = (/** @type {any} */ choices, /** @type {object} */ more = {}) =>
			response.write(
				`data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: body.model, choices, ...more })}\n\n`
			);
		for (const [index, word] of words.entries()) {
			if (index >= this.holdAfter) await new Promise((go) => this.held.push(() => go(null)));
			if (gone) return;
			send([{ index: 0, delta: { role: 'assistant', content: word }, finish_reason: null }]);
		}
		send([{ index: 0, delta: {}, finish_reason: 'stop' }]);
		const used = { prompt_tokens: 26, completion_tokens: words.length, total_tokens: 26 + words.length };
		send([], { usage: used });
		response.end('data: [DONE]\n\n');
	}
}
