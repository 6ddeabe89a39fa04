// @ts-check
// A PostgreSQL of its own in a temporary folder, reached through a Unix socket and gone afterwards.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { atEnd, scratch } from './stack.mjs';

const BIN = process.env.POSTGRES_BIN || '/usr/lib/postgresql/15/bin';

/** PostgreSQL refuses to run as root; Debian's package brings an account for it. */
function asDatabase(/** @type {string} */ program, /** @type {string[]} */ args) {
	const command = [join(BIN, program), ...args];
	const whole = process.getuid?.() === 0 ? ['runuser', '-u', 'postgres', '--', ...command] : command;
	return execFileSync(whole[0], whole.slice(1), { stdio: 'pipe', encoding: 'utf8', cwd: '/' });
}

/** @param {import('node:test').TestContext} test @returns {Promise<string>} its `postgres://` address */
export async function postgres(test) {
	const folder = await scratch();
	const data = join(folder.path, 'pg');
	mkdirSync(data, { mode: 0o700 });
	if (process.getuid?.() === 0) {
		const [uid, gid] = ['-u', '-g'].map((what) =>
			Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8' }))
		);
		chmodSync(folder.path, 0o755);
		chownSync(data, uid, gid);
	}
	asDatabase('initdb', [
		'-D',
		data,
		'-U',
		'foreman',
		'--auth=trust',
		'--no-sync',
		'-E',
		'UTF8',
		'--locale=C'
	]);
	const settings = `-c listen_addresses='' -c unix_socket_directories='${data}' -c fsync=off`;
	atEnd(test, async () => {
		asDatabase('pg_ctl', ['-D', data, '-m', 'immediate', '-w', 'stop']);
		await folder.remove();
	});
	asDatabase('pg_ctl', ['-D', data, '-w', '-l', join(data, 'log'), '-o', settings, 'start']);
	return `postgres://foreman@localhost/postgres?host=${encodeURIComponent(data)}`;
}
