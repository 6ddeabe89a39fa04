// @ts-check
// A log that grows by ten thousand lines a second, followed in the app's window over the link and in a browser through
// the server: how long a frame takes meanwhile, and whether all of it is shown: `./dev bench app`.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEnd, eventually, Program, stack } from '../e2e/stack.mjs';
import { open, signIn } from '../e2e/browser.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';
import { say } from './say.mjs';

const LINES_A_SECOND = 10_000;
/** Before it is measured, the page fills up with as many lines as it holds. ms */
const WARM = 4_000;
const WATCHED = 10_000;
/** A frame that takes longer is seen as a jerk. ms */
const BUDGET = 50;

/** Appends numbered lines at an even pace, whatever else the machine does. */
const WRITER = `
const fs = require('node:fs');
const [path, pace] = process.argv.slice(1);
const file = fs.openSync(path, 'a');
const began = process.hrtime.bigint();
let written = 0;
setInterval(() => {
	const due = Math.floor(Number(process.hrtime.bigint() - began) / 1e9 * Number(pace));
	let text = '';
	for (; written < due; written++) text += new Date().toISOString() + ' INFO worker[' + (written % 7) + ']: request ' + written + ' answered in 12 ms\\n';
	if (text) fs.writeSync(file, text);
}, 10);
`;

/** Counts frames from now on. */
const FRAMES = `
	const seen = (window.frames_ = { count: 0, over: 0, worst: 0, empty: 0, on: true });
	let last = performance.now();
	const view = document.querySelector('[role=log]');
	const painted = new MessageChannel();
	// What was drawn ends where the view ends.
	painted.port1.onmessage = () => {
		const end = view.querySelector('.row:last-child')?.getBoundingClientRect().bottom ?? 0;
		if (Math.abs(end - view.getBoundingClientRect().bottom) > 100) seen.empty++;
	};
	requestAnimationFrame(function look() {
		const now = performance.now();
		seen.count++;
		if (now - last > ${BUDGET}) seen.over++;
		seen.worst = Math.max(seen.worst, now - last);
		last = now;
		painted.port2.postMessage(0);
		if (seen.on) requestAnimationFrame(look);
	});`;

/** What was counted, the newest line that is shown, and whether any is missing. */
const COUNTED = `
	window.frames_.on = false;
	const rows = [...document.querySelectorAll('[role=log] .row')];
	const newest = /request (\\d+) /.exec(rows.at(-1)?.textContent ?? '');
	return { ...window.frames_, newest: Number(newest?.[1] ?? -1), gaps: document.querySelectorAll('[role=log] .gap').length };`;

/** @param {number} ms */
const pass = (ms) => new Promise((on) => setTimeout(on, ms));

/**
 * @param {import('node:test').TestContext} t @param {string} where @param {(script: string) => Promise<any>} run in the page
 * @param {string} path of the log
 */
async function watch(t, where, run, path) {
	const writer = new Program(process.execPath, ['-e', WRITER, path, String(LINES_A_SECOND)]);
	atEnd(t, () => writer.stop('SIGKILL'));
	const began = Date.now();
	await eventually(() =>
		run(`return /request \\d+/.test(document.querySelector('[role=log]')?.textContent)`)
	);
	await pass(WARM);
	await run(FRAMES);
	await pass(WATCHED);
	const said = await run(COUNTED);
	const written = ((Date.now() - began) / 1000) * LINES_A_SECOND;
	await writer.stop('SIGKILL');
	const behind = Math.max(0, (written - said.newest) / LINES_A_SECOND);
	say(
		`${LINES_A_SECOND} log lines a second ${where}`,
		`longest frame ${said.worst.toFixed(0)} ms, ${said.over} of ${said.count} over ${BUDGET} ms; ${behind.toFixed(1)} s behind, ${said.empty} frames without lines, ${said.gaps} gaps on the screen`,
		said.over === 0 && behind < 2 && said.gaps + said.empty === 0,
		`no frame over ${BUDGET} ms, all lines shown`
	);
}

test('a busy log in the app', async (t) => {
	const { server, agent, folder } = await stack(t, { device: 'forge' });
	const path = join(folder, 'busy.log');
	await writeFile(path, '');
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.go(`/devices/${agent.id}`);
	await window.run('location.assign(arguments[0])', `/devices/${agent.id}/logs?source=file:${path}`);
	await window.until(`return !!document.querySelector('[role=log]')`);
	await watch(t, 'in the app', (script) => window.run(script).catch(() => undefined), path);
});

test('a busy log in a browser', async (t) => {
	const { server, agent, folder } = await stack(t, { device: 'forge' });
	const path = join(folder, 'busy.log');
	await writeFile(path, '');
	const page = await open(t);
	await signIn(page, server);
	await page.goto(`${server.url}/devices/${agent.id}/logs?source=file:${path}`);
	await page.waitForSelector('[role=log]');
	await watch(t, 'in a browser', (script) => page.evaluate(`(() => {${script}})()`), path);
});
