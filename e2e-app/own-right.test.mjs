// @ts-check
// A device that lets its server do nothing, and this app everything: the app goes by the device's word.
import { join } from 'node:path';
import { test } from 'node:test';
import { Agent, atEnd, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';
import { shellAnswers } from './terminal.mjs';

const CLOSED = ['--dashboard', 'none', '--link-listen', '127.0.0.1:0', '--no-mdns'];

test('a device that trusts this app and not its server opens its terminal, files and logs, and another says why not', async (t) => {
	const { server, agent, folder } = await stack(t);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	const owner = await window.run("return window.__TAURI_INTERNALS__.invoke('owner_key')");
	await agent.join(server, 'safe', ['bash', 'read', 'logs'], ['--owner', owner, ...CLOSED]);
	const page = `/devices/${agent.id}`;
	await window.go(page);
	await window.until(
		`return new RegExp(arguments[0]).test(document.body.innerText)`,
		`${say('app_end_to_end')} · ${say('app_path_lan')} · \\d+\\.\\d ${say('app_latency', { ms: '' }).trim()}`
	);
	await desk.keep('own-right');

	await window.go(`${page}/terminal`);
	const answer = await shellAnswers(window, folder);
	await window.go(`${page}/files?path=${encodeURIComponent(folder)}`);
	await window.text('answer');
	await window.go(`${page}/logs?source=${encodeURIComponent(`file:${answer}`)}`);
	await window.text('42');

	const other = new Agent({ state: join(folder, 'other') });
	atEnd(t, () => other.stop());
	await other.join(server, 'stranger', ['bash', 'read', 'logs'], CLOSED);
	await window.go(`/devices/${other.id}/terminal`);
	await window.text(say('reach_not_trusted', { name: 'stranger' }));
});
