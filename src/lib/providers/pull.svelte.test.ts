import { describe, expect, it } from 'vitest';
import type { StreamMessage } from '$lib/host';
import { Pull, type Attend } from './pull.svelte';

/** The server's side, held in hand. */
function stage() {
	let hear!: (message: StreamMessage) => void;
	let end!: () => void;
	const attend: Attend = (signal, message) => {
		hear = message;
		return new Promise((resolve, reject) => {
			end = resolve;
			signal.addEventListener('abort', () => reject(signal.reason));
		});
	};
	const say = (event: string, data: unknown) => hear({ event, data: JSON.stringify(data), id: '' });
	return { attend, say, end: () => end() };
}

const nothing = () => Promise.resolve();

describe('a model on its way', () => {
	it('is as far as all its layers together', async () => {
		const server = stage();
		const pull = new Pull('m', server.attend, nothing);
		server.say('progress', { status: 'pulling manifest' });
		expect([pull.status, pull.total]).toEqual(['pulling manifest', 0]);
		server.say('progress', { status: 'pulling a', total: 300, completed: 300 });
		server.say('progress', { status: 'pulling b', total: 100, completed: 20 });
		expect([pull.completed, pull.total]).toEqual([320, 400]);
		server.say('done', { status: 'success' });
		server.end();
		await pull.ended;
		expect(pull.state).toBe('done');
	});

	it('failed with what the server said', async () => {
		const server = stage();
		const pull = new Pull('m', server.attend, nothing);
		server.say('failed', { code: 'not_found', detail: 'no such model', status: 404 });
		server.end();
		await pull.ended;
		expect([pull.state, pull.problem?.code, pull.problem?.message]).toEqual([
			'failed',
			'not_found',
			'no such model'
		]);
	});

	it('whose stream ends without a word has not arrived', async () => {
		const server = stage();
		const pull = new Pull('m', server.attend, nothing);
		server.end();
		await pull.ended;
		expect(pull.state).toBe('failed');
	});

	it('is stopped on the server, and not by looking away', async () => {
		let cancelled = 0;
		const cancel = () => Promise.resolve(void cancelled++);
		const left = new Pull('m', stage().attend, cancel);
		left.leave();
		await left.ended;
		expect([left.state, cancelled]).toEqual(['running', 0]);
		const stopped = new Pull('m', stage().attend, cancel);
		await stopped.stop();
		await stopped.ended;
		expect([stopped.state, cancelled]).toEqual(['stopped', 1]);
	});
});
