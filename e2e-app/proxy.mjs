// @ts-check
// What stands in front of a server: passes on what is asked, and may change what is said.
import { request } from 'node:http';
import { text } from 'node:stream/consumers';

/**
 * @param {{ url: string }} server which may be named later, when it has to know the address
 * @param {(path: string, said: string) => string} [change] of answers; streams pass as they are
 * @returns {import('node:http').RequestListener}
 */
export const passing = (server, change) => (asked, answer) => {
	const { 'accept-encoding': _, ...headers } = asked.headers;
	const onward = request(server.url + asked.url, { method: asked.method, headers }, async (said) => {
		if (!change || !said.headers['content-type']?.includes('json')) {
			answer.writeHead(said.statusCode ?? 502, said.headers);
			return said.pipe(answer);
		}
		const { 'content-length': __, ...kept } = said.headers;
		answer.writeHead(said.statusCode ?? 502, kept);
		answer.end(change(asked.url ?? '', await text(said)));
	});
	onward.on('error', () => answer.destroy());
	asked.pipe(onward);
};
