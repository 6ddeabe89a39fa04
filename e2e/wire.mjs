// @ts-check
// A wire that can be cut: a TCP proxy between the browser (or the agent) and the server.
import { createConnection, createServer } from 'node:net';
import { atEnd } from './stack.mjs';

/** @param {import('node:test').TestContext} test */
export async function wire(test) {
	/** @type {Set<import('node:net').Socket>} */
	const ends = new Set();
	let target = { host: '127.0.0.1', port: 0 };
	let whole = true;
	/** What the far ends say, each on its way to the near one. @type {Map<import('node:net').Socket, import('node:net').Socket>} */
	const answers = new Map();
	let held = false;

	const server = createServer((near) => {
		if (!whole) return near.destroy();
		const far = createConnection(target);
		for (const [from, to] of [
			[near, far],
			[far, near]
		]) {
			ends.add(from);
			if (from === far) answers.set(far, near);
			if (from === near || !held) from.pipe(to);
			from.on('error', () => to.destroy());
			from.on('close', () => {
				ends.delete(from);
				answers.delete(from);
				to.destroy();
			});
		}
	});
	await new Promise((listening) => server.listen(0, '127.0.0.1', () => listening(null)));
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

	const cut = () => {
		whole = false;
		for (const end of ends) end.destroy();
	};
	atEnd(test, () => {
		cut();
		server.close();
	});
	/** What is connected stays so and hears nothing more, as after the sleep of one end; whoever connects anew is heard. */
	const hush = () => {
		for (const end of ends) end.unpipe().pause();
	};
	return {
		url: `http://127.0.0.1:${port}`,
		/** @param {string} url */
		leadTo(url) {
			const { hostname, port } = new URL(url);
			target = { host: hostname, port: Number(port) };
		},
		cut,
		hush,
		/** What is asked still goes through, and the answers come when they are let go. */
		hold() {
			held = true;
			for (const [far, near] of answers) far.unpipe(near).pause();
		},
		letGo() {
			held = false;
			for (const [far, near] of answers) far.pipe(near);
		},
		mend() {
			whole = true;
		}
	};
}
