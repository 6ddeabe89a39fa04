// @ts-check
// A ntfy server as far as Foreman speaks to one: it remembers what it was told, and refuses where a test wants it to.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { atEnd } from './stack.mjs';

/**
 * @param {import('node:test').TestContext} test
 * @param {{ status: number, error: string }[]} [refusals] one for each of the next messages
 */
export async function ntfy(test, refusals = []) {
	/** @type {any[]} */
	const told = [];
	const server = createServer(async (request, response) => {
		let body = '';
		for await (const piece of request) body += piece;
		told.push({
			method: request.method,
			authorization: request.headers.authorization,
			...JSON.parse(body || '{}')
		});
		const refusal = refusals.shift();
		if (refusal) response.statusCode = refusal.status;
		response.end(JSON.stringify(refusal ? { error: refusal.error } : {}));
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(test, () => server.close());
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	return { told, topic: `http://127.0.0.1:${port}/my-topic` };
}
