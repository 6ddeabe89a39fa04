// @ts-check
// The app with its server down: the device is reached over the network they share, and work begins there.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { approve, shownCode } from './enter.mjs';

/** Only from here on is the device called by this app itself. */
const LINK = ['--link-listen', '127.0.0.1:0', '--no-mdns'];

/** Adds the server with the rights of an admin. @param {import('./webdriver.mjs').Window} window @param {import('../e2e/stack.mjs').Server} server */
async function enterAsAdmin(window, server) {
	await window.press(say('app_add'));
	await window.fill(say('app_address'), server.url);
	await window.press(say('app_look'));
	await window.press(say('app_sign_in_code'));
	await approve(server, await shownCode(window), 'admin');
	await window.until("return location.pathname === '/' && !!document.querySelector('main')");
}

/** Goes to a page of the dashboard without losing the page. @param {import('./webdriver.mjs').Window} window @param {string} path */
async function open(window, path) {
	const [pathname] = path.split('?');
	await window.run('location.assign(arguments[0])', path).catch(() => undefined);
	await window.until(
		"return location.pathname === arguments[0] && document.readyState === 'complete' && !!document.querySelector('main')",
		pathname
	);
}

test('with its server down the app opens files, logs and a terminal, and starts a task on the device', async (t) => {
	const { server, agent, folder } = await stack(t);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enterAsAdmin(window, server);
	const owner = await window.run("return window.__TAURI_INTERNALS__.invoke('owner_key')");
	await agent.join(server, 'forge', ['bash', 'read', 'logs'], ['--owner', owner, ...LINK]);
	await writeFile(join(folder, 'letter.txt'), 'kept on the device\n');
	const page = `/devices/${agent.id}`;
	await open(window, page);
	await window.text(say('app_end_to_end'));
	await window.text(say('link_live'));
	await server.stop('SIGKILL');

	await open(window, `${page}/files?path=${encodeURIComponent(folder)}`);
	await window.text('letter.txt');
	await open(window, `${page}/logs?source=${encodeURIComponent(`file:${join(folder, 'letter.txt')}`)}`);
	await window.text('kept on the device');
	await open(window, `${page}/terminal`);
	await window.press(say('terminal_open_shell'));
	await window.until(
		`const input = document.querySelector('.xterm-helper-textarea'); input?.focus(); return !!input && input === document.activeElement;`
	);
	const answer = join(folder, 'answer');
	// Until the shell is there, what is typed is nobody's.
	await eventually(async () => {
		await window.keys(`echo $((6*7)) > ${answer}\uE007`);
		await new Promise((on) => setTimeout(on, 500));
		return (await readFile(answer, 'utf8').catch(() => '')) === '42\n';
	});

	const runs = join(folder, 'runs');
	await open(window, page);
	await window.fill(say('run_quick'), `echo ran >> ${runs}; echo heard $((40+2)) times; sleep 600`);
	await window.press(say('run_submit'));
	await eventually(async () => (await readFile(runs, 'utf8').catch(() => '')) === 'ran\n');
});
