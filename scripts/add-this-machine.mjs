// Adds a device through the API and prints its one-time token, and nothing else, on standard output:
// `node add-this-machine.mjs URL NAME`, with an admin's bearer on standard input. The bearer is given back at the end,
// so that no standing secret remains.
import { text } from 'node:stream/consumers';

const [, , server, name] = process.argv;
const bearer = (await text(process.stdin)).trim();

async function call(method, path, body) {
	const response = await fetch(new URL(path, server), {
		method,
		headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
		body: body && JSON.stringify(body)
	});
	const answer = response.status === 204 ? null : await response.json();
	if (!response.ok) throw new Error(`${method} ${path}: ${answer.detail ?? response.status}`);
	return answer;
}

async function giveBackBearer() {
	const { items } = await call('GET', '/api/v1/tokens?limit=200');
	const own = items.filter((token) => token.name === 'dev-up');
	for (const token of own) await call('DELETE', `/api/v1/tokens/${token.id}`);
}

try {
	if (!bearer) throw new Error('the server made no token for this machine');
	const { token } = await call('POST', '/api/v1/devices', { name: name.slice(0, 64), type: 'gpu_compute' });
	await giveBackBearer();
	console.log(token);
} catch (error) {
	console.error(error instanceof Error ? error.message : error);
	process.exitCode = 1;
}
