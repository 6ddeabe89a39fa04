// @ts-check
// Conversations as a client sees them, on both databases: asked once however often it is sent, brought whoever
// listens, stopped at the model, kept through a kill.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from './ollama.mjs';
import { postgres } from './postgres.mjs';
import { eventually, stack } from './stack.mjs';

const id = () => crypto.randomUUID();

/** A signed-in person, and a model that anybody may ask. */
class Person {
	/** @param {import('./stack.mjs').Server} server @param {string} cookie */
	constructor(server, cookie) {
		this.server = server;
		this.cookie = cookie;
	}

	/** @param {string} method @param {string} path @param {any} [json] @param {BodyInit} [raw] */
	async api(method, path, json, raw) {
		const response = await fetch(this.server.url + path, {
			method,
			headers: {
				cookie: this.cookie,
				origin: this.server.url,
				...(json ? { 'content-type': 'application/json' } : {})
			},
			body: json ? JSON.stringify(json) : raw
		});
		const text = await response.text();
		/** @type {any} */
		let body = text;
		try {
			body = JSON.parse(text);
		} catch {
			// A file.
		}
		return { status: response.status, body, headers: response.headers };
	}

	/** @returns {Promise<string>} */
	async chat() {
		return (await this.api('POST', '/api/v1/chats', { model: 'talk/talker' })).body.id;
	}

	/** @param {string} chat @param {string} text @param {object} [more] */
	async ask(chat, text, more = {}) {
		const asked = await this.api('POST', `/api/v1/chats/${chat}/ask`, { id: id(), text, ...more });
		assert.equal(asked.status, 202, JSON.stringify(asked.body));
		return asked.body;
	}

	/** @param {string} chat @param {string} message */
	async message(chat, message) {
		return (await this.api('GET', `/api/v1/chats/${chat}/messages?leaf=${message}&limit=1`)).body.items[0];
	}

	/** @param {string} chat @param {string} message */
	ended(chat, message) {
		return eventually(async () => {
			const now = await this.message(chat, message);
			return now.state !== 'streaming' && now;
		}, 60_000);
	}

	/** Until so much of it is kept. @param {string} chat @param {string} message @param {string} text */
	begun(chat, message, text) {
		return eventually(async () => (await this.message(chat, message)).text === text);
	}
}

/** @param {import('node:test').TestContext} t @param {string} database */
async function scene(t, database) {
	const databaseUrl = database === 'postgresql' ? await postgres(t) : undefined;
	const model = await new Ollama(['talker']).start(t);
	await model.says('You asked: {question}');
	const { server } = await stack(t, { databaseUrl });
	const ticket = new URL(await server.loginLink()).hash.replace('#ticket=', '');
	const signedIn = await fetch(`${server.url}/api/v1/session`, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ ticket })
	});
	const person = new Person(server, String(signedIn.headers.get('set-cookie')).split(';')[0]);
	const made = await person.api('POST', '/api/v1/providers', {
		kind: 'openai_compatible',
		name: 'talk',
		base_url: `http://${model.host}/v1`
	});
	assert.equal(made.status, 201, JSON.stringify(made.body));
	await eventually(async () => (await person.api('GET', '/api/v1/models')).body.items.length > 0);
	return { model, server, person };
}

for (const database of ['sqlite', 'postgresql']) {
	test(`a question sent three times is asked once, kept and found (${database})`, async (t) => {
		const { model, person } = await scene(t, database);
		const chat = await person.chat();
		const question = { id: id(), text: 'Über 100% der Wale_singen' };
		const sent = await Promise.all(
			[1, 2, 3].map(() => person.api('POST', `/api/v1/chats/${chat}/ask`, question))
		);
		assert.equal(new Set(sent.map(({ body }) => body.answer.id)).size, 1);
		const answer = await person.ended(chat, sent[0].body.answer.id);
		assert.equal(answer.text, 'You asked: Über 100% der Wale_singen');
		assert.deepEqual([answer.state, answer.route.model, answer.usage.input_tokens], ['done', 'talker', 11]);
		assert.equal((await model.asked()).length, 1);
		const other = await person.chat();
		assert.equal((await person.api('POST', `/api/v1/chats/${other}/ask`, question)).status, 409);
		for (const [q, found] of /** @type {const} */ ([
			['über', true],
			['WALE asked', true],
			['100%25', true],
			['100_', false],
			['wale_singen', true],
			['walexsingen', false],
			['wale else', false]
		])) {
			const { items } = (await person.api('GET', `/api/v1/chats?q=${q}`)).body;
			assert.equal(items.length > 0, found, q);
		}
		const markdown = (await person.api('GET', `/api/v1/chats/${chat}/export?format=markdown`)).body;
		assert.match(markdown, /^# Über 100%[\s\S]*\n## talk\/talker\n\nYou asked/);
		const json = (await person.api('GET', `/api/v1/chats/${chat}/export?format=json`)).body;
		assert.equal(json.messages.length, 2);
	});

	test(`an edited question is a branch, and a model is told of its own branch only (${database})`, async (t) => {
		const { model, person } = await scene(t, database);
		const chat = await person.chat();
		const first = await person.ask(chat, 'first');
		const parent = first.answer.id;
		await person.ended(chat, parent);
		const second = await person.ask(chat, 'second', { parent });
		await person.ended(chat, second.answer.id);
		const better = await person.ask(chat, 'second, better', { parent });
		await person.ended(chat, better.answer.id);
		assert.deepEqual(
			(await model.asked()).at(-1).messages.map((/** @type {any} */ message) => message.content),
			['first', 'You asked: first', 'second, better']
		);
		assert.deepEqual(better.question.versions, [second.question.id, better.question.id]);
		const shown = await person.api('PATCH', `/api/v1/chats/${chat}`, { leaf: second.question.id });
		assert.equal(shown.body.leaf, second.answer.id);
		/** @type {string[]} */
		const upwards = [];
		for (let next = ''; ;) {
			const path = `/api/v1/chats/${chat}/messages?leaf=${second.answer.id}&limit=1${next}`;
			const page = (await person.api('GET', path)).body;
			upwards.push(page.items[0].text);
			if (!page.next) break;
			next = `&cursor=${page.next}`;
		}
		assert.deepEqual(upwards, ['You asked: second', 'second', 'You asked: first', 'first']);
		const wrong = { id: id(), text: 'x', parent: second.question.id };
		assert.equal((await person.api('POST', `/api/v1/chats/${chat}/ask`, wrong)).status, 409);
	});

	test(`files go along, are never pages, and go with their conversation (${database})`, async (t) => {
		const { model, person } = await scene(t, database);
		const add = async (/** @type {string} */ name, /** @type {BodyInit} */ data) =>
			person.api('POST', `/api/v1/attachments?name=${name}`, undefined, data);
		const picture = (await add('a.png', Buffer.from('\x89PNG\r\n\x1a\n rest', 'latin1'))).body;
		const notes = (await add('notes.html', '<script>alert(1)</script>\n```')).body;
		assert.deepEqual([picture.media_type, notes.media_type], ['image/png', 'text/plain']);
		assert.equal((await add('x', Buffer.from([0, 255]))).status, 422);
		assert.equal((await add('x', Buffer.alloc(11 * 1024 * 1024, 0x61))).status, 413);
		const { headers } = await person.api('GET', `/api/v1/attachments/${notes.id}`);
		assert.equal(headers.get('content-type'), 'text/plain; charset=utf-8');
		assert.match(String(headers.get('content-disposition')), /^attachment/);
		assert.equal(headers.get('x-content-type-options'), 'nosniff');
		const chat = await person.chat();
		const { answer } = await person.ask(chat, 'look', { attachments: [picture.id, notes.id] });
		await person.ended(chat, answer.id);
		const [text, image] = (await model.asked()).at(-1).messages[0].content;
		assert.match(text.text, /^look\n\nnotes.html:\n````\n<script>/);
		assert.match(image.image_url.url, /^data:image\/png;base64,/);
		assert.equal((await person.api('DELETE', `/api/v1/chats/${chat}`)).status, 204);
		assert.equal((await person.api('GET', `/api/v1/attachments/${picture.id}`)).status, 404);
	});

	test(`what does not fit into the context is left out and said (${database})`, async (t) => {
		const { model, person } = await scene(t, database);
		const chat = await person.chat();
		// Nothing is known of the model, so 32,768 tokens are reckoned with: these and their answers are too many.
		/** @type {any} */
		let last;
		for (let turn = 0; turn < 3; turn += 1) {
			const asked = await person.ask(chat, `${turn} ${'w '.repeat(12_000)}`, { parent: last?.id });
			last = await person.ended(chat, asked.answer.id);
		}
		assert.deepEqual([last.state, last.left_out], ['done', 2]);
		const told = (await model.asked()).at(-1).messages;
		assert.deepEqual([told.length, told[0].role, told[0].content[0]], [3, 'user', '1']);
	});

	test(`a stop reaches the model, and a killed server leaves what had arrived and another try (${database})`, async (t) => {
		const { model, server, person } = await scene(t, database);
		const chat = await person.chat();
		await model.hold(2);
		const stopped = await person.ask(chat, 'one two three');
		await person.begun(chat, stopped.answer.id, 'You asked: ');
		const path = `/api/v1/chats/${chat}/messages/${stopped.answer.id}/stop`;
		const { body } = await person.api('POST', path);
		assert.deepEqual([body.state, body.text], ['stopped', 'You asked: ']);
		await model.givenUp(1);

		await model.hold(2);
		const cut = await person.ask(chat, 'four', { parent: stopped.answer.id });
		await person.begun(chat, cut.answer.id, 'You asked: ');
		await server.stop('SIGKILL');
		await server.start();
		const failed = await person.ended(chat, cut.answer.id);
		assert.deepEqual(
			[failed.state, failed.text, failed.problem.code],
			['failed', 'You asked: ', 'unavailable']
		);
		await model.release();
		const again = { id: id(), question: cut.question.id };
		const { body: asked } = await person.api('POST', `/api/v1/chats/${chat}/ask-again`, again);
		assert.equal((await person.ended(chat, asked.answer.id)).text, 'You asked: four');
	});

	test(`a stream goes on where it was cut and ends with the sign-out (${database})`, async (t) => {
		const { model, server, person } = await scene(t, database);
		const chat = await person.chat();
		const first = await person.ask(chat, 'four');
		await person.ended(chat, first.answer.id);
		const stream = (/** @type {string} */ message, from = '0') =>
			fetch(`${server.url}/api/v1/chats/${chat}/messages/${message}/stream`, {
				headers: { cookie: person.cookie, 'last-event-id': from }
			});
		const rest = await (await stream(first.answer.id, '4')).text();
		assert.match(
			rest,
			/event: route[\s\S]*id: 15\nevent: piece\ndata: \{"offset":4,"text":"asked: four"\}[\s\S]*event: end/
		);
		await model.hold(1);
		const held = await person.ask(chat, 'five', { parent: first.answer.id });
		const reader = /** @type {ReadableStream<Uint8Array>} */ (
			(await stream(held.answer.id)).body
		).getReader();
		await reader.read();
		await person.api('DELETE', '/api/v1/session');
		while (!(await reader.read()).done);
		await model.release();
	});
}
