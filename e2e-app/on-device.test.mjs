// @ts-check
// Signing in to a provider by its own program, on a device, in a terminal that the person sees.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';
import { typed } from './terminal.mjs';

test("a provider's own program signs in on a device, in a terminal that is shown", async (t) => {
	const desk = await Desk.of(t);
	const [programs, asked, given] = ['programs', 'asked', 'given'].map((name) => join(desk.path, name));
	await mkdir(programs);
	// The vendor's program, as far as a terminal sees it: it says what to do and waits for a person; of its state it says
	// what the vendor documents.
	const status = `[ "$*" = 'auth status --json' ] && echo '{"loggedIn": true, "email": "ada@example.com"}' && exit`;
	const vendor = `#!/bin/sh\n${status}\necho "$*" > '${asked}'\necho 'Paste the code here:'\nread -r code\necho "$code" > '${given}'\nexec cat\n`;
	await writeFile(join(programs, 'claude'), vendor);
	await chmod(join(programs, 'claude'), 0o755);
	const path = process.env.PATH;
	process.env.PATH = programs + delimiter + path;
	const { server, agent } = await stack(t, { device: 'forge' }).finally(() => (process.env.PATH = path));
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/sign-ins');
	const choose = `${say('signin_device_choose')}: Claude Code`;
	// It may lie below the edge, where the window's foot would be over it.
	await window.until(
		`const it = [...document.querySelectorAll('main button')].find((one) => one.textContent.replace(/\\s+/g, ' ').trim() === arguments[0]); it?.scrollIntoView({ block: 'center' }); return !!it;`,
		choose
	);
	await window.press(choose);
	await window.press(say('signin_device_status'));
	await window.text(say('signin_device_is_in_as', { device: 'forge', who: 'ada@example.com' }));
	await eventually(
		async () => (await server.api(`/api/v1/devices/${agent.id}/link/terminals`)).items.length === 0
	);
	await desk.keep('on-device');
	await window.press(say('signin_device_in'));
	await window.until('return location.pathname.startsWith(arguments[0])', `/devices/${agent.id}/terminal/`);
	await eventually(async () => (await readFile(asked, 'utf8').catch(() => '')).startsWith('auth login'));
	await typed(
		window,
		'the-code',
		async () => (await readFile(given, 'utf8').catch(() => '')) === 'the-code\n'
	);
	await desk.keep('on-device-terminal');
});
