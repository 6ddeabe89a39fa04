// @ts-check
// A systemd of one user, real and of a test's own, with cgroups that are gone afterwards. Where none can be had (that
// takes root, or a system that gives cgroups away) there is none.
import { existsSync } from 'node:fs';
import { chmod, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { atEnd, environment, eventually, Program } from '../e2e/stack.mjs';

const run = promisify(execFile);

const SYSTEMD = ['/usr/lib/systemd/systemd', '/lib/systemd/systemd'].find((path) => existsSync(path));
const ROOTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd'];

// It moves everything in its own cgroup into one for itself, so it gets one where nothing else is. And it starts only
// where a systemd runs the machine, or seems to.
const BEGIN = `
set -eu
for root in ${ROOTS.join(' ')}; do
	[ -e $root/cgroup.procs ] || continue
	mkdir $root/$1
	echo $$ > $root/$1/cgroup.procs
done
[ -d /run/systemd/system ] && exec $2 --user
mkdir -p /run/systemd
exec unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/system
exec $1 --user' sh $2
`;

export class UserSystemd {
	/** Nothing where this machine cannot have one. @param {import('node:test').TestContext} t @param {Record<string, string>} env */
	static async of(t, env) {
		if (!SYSTEMD) return undefined;
		const systemd = new UserSystemd(env);
		atEnd(t, () => systemd.#end());
		const begun = await eventually(async () => {
			if (!systemd.program.running) return 'ended';
			return (await systemd.ctl('show', '--property=Version')).startsWith('Version=') && 'begun';
		});
		return begun === 'begun' ? systemd : undefined;
	}

	/** @param {Record<string, string>} env */
	constructor(env) {
		this.env = env;
		this.cgroup = `foreman-e2e-${process.pid}-${Date.now()}`;
		this.program = new Program('sh', ['-c', BEGIN, 'sh', this.cgroup, SYSTEMD ?? ''], { env });
	}

	/** What `systemctl --user` says. @param {string[]} args @returns {Promise<string>} */
	async ctl(...args) {
		const options = { env: environment(this.env) };
		const said = await run('systemctl', ['--user', '--no-pager', ...args], options).catch((error) => error);
		return String(said.stdout ?? '').trim();
	}

	/** The main process of a service that runs; nothing otherwise. @param {string} name */
	async pid(name) {
		return Number(await this.ctl('show', '--property=MainPID', '--value', name)) || undefined;
	}

	/** The services of Foreman that it knows. */
	async services() {
		const args = ['list-units', '--all', '--plain', '--no-legend', 'foreman-*'];
		return (await this.ctl(...args)).split('\n').filter(Boolean);
	}

	/** Tasks outlive what started them: whoever is left is ended with it. */
	async #end() {
		await this.program.stop();
		for (const root of ROOTS.filter((path) => existsSync(join(path, this.cgroup)))) {
			const top = join(root, this.cgroup);
			const below = await readdir(top, { recursive: true, withFileTypes: true });
			const folders = below.filter((one) => one.isDirectory()).map((one) => join(one.parentPath, one.name));
			for (const folder of [...folders.toReversed(), top]) {
				await eventually(async () => {
					const pids = (await readFile(join(folder, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean);
					for (const pid of pids) end(Number(pid));
					return pids.length === 0;
				});
				await rmdir(folder);
			}
		}
	}
}

/** @param {number} pid */
function end(pid) {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It ended by itself.
	}
}

/**
 * The part of the system that lets services outlive a login, in place of logind: it would change the machine. It allows
 * that once the file `allowed` is beside it.
 * @param {string} folder
 */
export async function standInForLogind(folder) {
	const path = join(folder, 'loginctl');
	await writeFile(
		path,
		`#!/bin/sh
case "$1" in
	enable-linger) [ -e ${folder}/allowed ] && exit 0; echo 'Could not enable linger: Access denied' >&2; exit 1 ;;
	show-user) [ -e ${folder}/allowed ] && echo yes || echo no ;;
	*) exit 1 ;;
esac
`
	);
	await chmod(path, 0o755);
}
