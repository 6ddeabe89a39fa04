// Whether an address can be listened on: `node address.mjs HOST:PORT`. Exit code 1 and one sentence when it cannot.
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';

const address = process.argv[2] ?? '';
const shown = address.slice(0, address.lastIndexOf(':'));
const [, host, port] = address.match(/^(?:\[?([^\]]*)\]?):(\d{1,5})$/) ?? [];

/** The process that listens on a port, in words, where `ss` can tell. */
function holder(wanted) {
	try {
		const table = execFileSync('ss', ['-Hltnp', `sport = :${wanted}`], { encoding: 'utf8', stdio: 'pipe' });
		const [, name, pid] = table.match(/users:\(\("([^"]+)",pid=(\d+)/) ?? [];
		return name ? ` by ${name} (process ${pid})` : '';
	} catch {
		return '';
	}
}

/** @type {Record<string, () => string>} */
const reasons = {
	EADDRINUSE: () =>
		`Port ${port} is in use${holder(port)}. Stop that, or choose another port: FOREMAN_LISTEN=${shown}:${Number(port) + 1} ./dev up`,
	EACCES: () =>
		`This account may not use port ${port}. Choose one above 1023: FOREMAN_LISTEN=${shown}:3001 ./dev up`,
	EADDRNOTAVAIL: () =>
		`This machine has no address ${host}. Use one that it has: FOREMAN_LISTEN=127.0.0.1:${port} ./dev up`
};

function refuse(sentence) {
	console.log(sentence);
	process.exitCode = 1;
}

if (!port || Number(port) > 65535) {
	refuse(
		`FOREMAN_LISTEN is "${address}", which is no address. It looks like this: FOREMAN_LISTEN=127.0.0.1:3001`
	);
} else {
	const server = createServer();
	server.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
		const reason = reasons[error.code ?? ''];
		refuse(reason ? reason() : `Foreman cannot listen on ${address}: ${error.message}.`);
	});
	server.listen({ host, port: Number(port) }, () => server.close());
}
