// @ts-check
// A vendor of models as a provider called lab, and a client that asks it with a key.

export const PASSWORD = 'correct horse battery staple';
export const KEY = 'sk-upstream-0123456789abcdef';
/** A cent a token, in and out, so that a few can be seen. */
export const CENT = { input_micros: 10_000_000_000, output_micros: 10_000_000_000 };

/** @typedef {import('./stack.mjs').Server} Server */

/** @param {Server} server @param {string} base */
export async function withProvider(server, base) {
	await server.api('/api/v1/vault', { json: { password: PASSWORD } });
	const json = { kind: 'openai_compatible', name: 'lab', base_url: base, key: KEY };
	return server.api('/api/v1/providers', { json });
}

/** What one of its models costs. @param {Server} server @param {string} model */
export const priced = (server, model, price = CENT) =>
	server.api(`/api/v1/models/lab/${model}`, { method: 'PATCH', json: { price, enabled: true } });

/** As a client does. @param {Server} server @param {string} secret */
export const ask = (server, secret, model = 'lab/small') =>
	fetch(`${server.url}/v1/chat/completions`, {
		method: 'POST',
		headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
		body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] })
	});

/** @param {number} micros */
export const dollars = (micros) => `$${(micros / 1_000_000).toFixed(2)}`;
