// @ts-check
// How fast and how light the app is, each beside its floor in the same run: `./dev bench app`.
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { firstView, LIMIT } from '../scripts/first-view.mjs';
import { Agent, atEnd, eventually, Program, stack } from '../e2e/stack.mjs';
import { APP, Desk } from './desk.mjs';
import { say } from './say.mjs';
import { Window } from './webdriver.mjs';

const ROUNDS = 5;
const DEVICES = 10;
/** How long an idle app is watched, ms. */
const WATCHED = 60_000;
/** What the system counts processor time in, in one second. */
const TICKS = 100;

/** @param {number[]} numbers */
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** The fields of a process after its name, as the kernel counts them, and last its name. @param {string | number} pid */
function stat_(pid) {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
		const end = text.lastIndexOf(')');
		return [
			...text
				.slice(end + 2)
				.trim()
				.split(' '),
			text.slice(text.indexOf('(') + 1, end)
		];
	} catch {
		return undefined;
	}
}

/** @param {string} program its path @returns {string} */
function processOf(program) {
	const found = readdirSync('/proc').filter((pid) => {
		try {
			return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] === program;
		} catch {
			return false;
		}
	});
	if (found.length !== 1) throw new Error(`${found.length} processes of ${program}`);
	return found[0];
}

/** When a process began, ms since the epoch. @param {string} pid */
function beganAt(pid) {
	const booted = Number(/^btime (\d+)/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]);
	const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
	// `btime` is whole seconds; now less the time since boot is exact to a hundredth.
	const boot =
		Math.abs(Date.now() - uptime * 1000 - booted * 1000) < 2000 ? Date.now() - uptime * 1000 : booted * 1000;
	return boot + (Number(stat_(pid)?.[19]) * 1000) / TICKS;
}

/** From the start of the process to the first thing it shows, ms. @param {Desk} desk @param {string} program */
async function firstPaint(desk, program) {
	const window = await Window.open(desk.driver, program);
	try {
		const painted = await window.until(
			`const [paint] = performance.getEntriesByName('first-contentful-paint'); return paint && performance.timeOrigin + paint.startTime`
		);
		return painted - beganAt(processOf(program));
	} finally {
		await window.close();
	}
}

/** Processor time of a process and all below it by name, ticks. @param {number} root @returns {Record<string, number>} */
function ticksOf(root) {
	const all = readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.map((pid) => ({ pid: Number(pid), fields: stat_(pid) }));
	const within = new Set([root]);
	for (let grown = true; grown;) {
		grown = false;
		for (const { pid, fields } of all)
			if (fields && !within.has(pid) && within.has(Number(fields[1]))) grown = !!within.add(pid);
	}
	/** @type {Record<string, number>} */
	const ticks = {};
	for (const { fields } of all.filter(({ pid }) => within.has(pid))) {
		const name = String(fields?.at(-1));
		ticks[name] = (ticks[name] ?? 0) + Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0);
	}
	return ticks;
}

test('first paint', async (t) => {
	const desk = await Desk.of(t);
	const empty = join(dirname(APP), 'examples/empty_window');
	/** @type {{ app: number[], empty: number[] }} */
	const took = { app: [], empty: [] };
	// The first of each fills the disk's cache.
	for (let round = 0; round <= ROUNDS; round++) {
		const [ours, floor] = [await firstPaint(desk, APP), await firstPaint(desk, empty)];
		if (round === 0) continue;
		took.app.push(ours);
		took.empty.push(floor);
	}
	const [ours, floor] = [median(took.app), median(took.empty)];
	const measured = `${ours.toFixed(0)} ms, an empty window ${floor.toFixed(0)} ms: ${(ours / floor).toFixed(2)}×`;
	say('first paint', measured, ours / floor <= 1.2, 'at most 1.2×');
});

test('JavaScript of the first view', async () => {
	const bytes = firstView().reduce((all, file) => all + file.bytes, 0);
	const kilobytes = (/** @type {number} */ of) => `${(of / 1024).toFixed(0)} KB`;
	say(
		'JavaScript of the first view',
		kilobytes(bytes),
		bytes <= LIMIT,
		`at most ${kilobytes(LIMIT)}, compressed`
	);
});

test('an idle app with ten devices', async (t) => {
	// As often as devices report when nobody changed it.
	const { server, folder } = await stack(t, { env: { FOREMAN_HEARTBEAT_S: '10' } });
	for (let number = 1; number <= DEVICES; number++) {
		const agent = new Agent({ state: join(folder, `agent-${number}`) });
		atEnd(t, () => agent.stop());
		await agent.join(server, `device-${number}`);
	}
	const desk = await Desk.of(t);
	const bearer = await server.host('token', 'create', '--name', 'Foreman app', '--role', 'owner');
	const env = { ...desk.env, FOREMAN_HANDED: 'stdin' };
	const app = new Program(APP, [], { env, input: `${server.url}\n${bearer}\n` });
	atEnd(t, () => app.stop());
	const listening = /^foreman_event_readers [1-9]/m;
	await eventually(async () => listening.test(await server.api('/metrics')));
	// What a start leaves to do is done after a while.
	await new Promise((on) => setTimeout(on, 15_000));
	const pid = /** @type {number} */ (app.child.pid);
	const before = ticksOf(pid);
	await new Promise((on) => setTimeout(on, WATCHED));
	const share = (/** @type {number} */ ticks) => (ticks / TICKS / (WATCHED / 1000)) * 100;
	const shares = Object.entries(ticksOf(pid)).map(([name, ticks]) => ({
		name,
		share: share(ticks - (before[name] ?? 0))
	}));
	const all = shares.reduce((sum, one) => sum + one.share, 0);
	const each = shares.map((one) => `${one.name} ${one.share.toFixed(2)}`).join(', ');
	say(
		'idle, with ten devices that report',
		`${all.toFixed(2)} % of a core (${each})`,
		all <= 0.5,
		'at most 0.5 %'
	);
});

test('the package', async () => {
	const folder = join(process.env.CARGO_TARGET_DIR ?? 'target', 'release/package');
	const files = await readdir(folder).catch(() => []);
	for (const name of files.filter((file) => /\.(deb|AppImage)$/.test(file))) {
		const megabytes = (await stat(join(folder, name))).size / 1e6;
		say(name, `${megabytes.toFixed(1)} MB`, megabytes <= 15, 'at most 15 MB');
	}
	if (files.length === 0) console.log('SKIPPED the package: there is none; ./dev package makes it');
});
