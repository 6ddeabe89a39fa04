// @ts-check
// Into a device from the dashboard: its terminal, its files and its logs, through the server, with the real programs.
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CUT_OFF, DESKTOP, PHONE, open, shown, signIn, swipe } from './browser.mjs';
import { eventually, Program, PROGRAMS, stack } from './stack.mjs';
import { attached, keysGoTo, openTerminal, says, screen, type } from './terminals.mjs';
import { say } from './words.mjs';

/** Chromium reports answers that are none to it: nobody signed in, no repository around a folder. */
const USUAL = /status of (401|404)/;
/** And what it reports while the server is away. */
const AWAY = new RegExp(`${CUT_OFF.source}|status of 503|WebSocket connection to`);

test('a terminal is opened, typed in, resized, watched by others and ended', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	const address = await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	await type(page, 'echo $((6*7))-typed');
	await says(page, '42-typed');

	const columns = async () => {
		await type(page, 'echo cols:$(tput cols):');
		const found = await eventually(async () =>
			[...(await screen(page).innerText()).matchAll(/cols:(\d+):/g)].at(-1)
		);
		await type(page, 'clear');
		return Number(found[1]);
	};
	const wide = await columns();
	await page.setViewportSize({ width: 900, height: 700 });
	await eventually(async () => (await columns()) < wide - 20);

	const second = await open(t);
	await signIn(second, server);
	await second.goto(address);
	await type(page, 'echo seen by both');
	await says(page, 'seen by both');
	await says(second, 'seen by both');
	await page.getByText(say('terminal_viewers', { count: 2 })).waitFor();

	await type(page, 'exit 3');
	for (const each of [page, second]) {
		await each.getByText(say('terminal_ended_code', { code: 3 })).waitFor();
	}
	await page.getByRole('button', { name: say('terminal_again') }).click();
	await page.waitForURL((url) => url.href !== address);
	// The ended one has gone, and the keys are the new one's.
	await page.getByText(say('terminal_ended_code', { code: 3 })).waitFor({ state: 'detached' });
	await attached(page);
	await keysGoTo(page);
	await type(page, 'echo once again');
	await says(page, 'once again');

	await page.getByRole('button', { name: /^Actions for terminal/ }).click();
	await page.getByRole('menuitem', { name: say('terminal_end') }).click();
	await page
		.getByRole('dialog')
		.getByRole('button', { name: say('terminal_end') })
		.click();
	await page
		.getByRole('status')
		.getByText(/^Ended/)
		.waitFor();
});

test('terminals stand side by side, and the address holds them', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	await page.getByRole('button', { name: say('terminal_split') }).click();
	await page.waitForURL(/with=/);
	await page.locator('.xterm-rows').nth(1).waitFor();
	await page.locator('.xterm-helper-textarea').nth(1).focus();
	await keysGoTo(page, 1);
	await page.keyboard.type('echo on the right\n');
	await says(page, 'on the right', 1);
	await page.keyboard.press('Control+Shift+ArrowLeft');
	await keysGoTo(page, 0);
	await page.keyboard.type('echo on the left\n');
	await says(page, 'on the left', 0);
	await page.reload();
	await says(page, 'on the left', 0);
	await says(page, 'on the right', 1);
	await page.locator('.xterm-helper-textarea').first().focus();
	await keysGoTo(page, 0);
	await page.keyboard.press('Control+Shift+F');
	await page.getByRole('search').getByRole('searchbox').fill('echo on');
	await page
		.getByRole('status')
		.getByText(/1 of|\d+ of \d+|\d+\/\d+/)
		.first()
		.waitFor();
});

test('a server that restarts loses and doubles nothing of a terminal', async (t) => {
	const { server, agent, folder } = await stack(t, { device: 'bench' });
	const page = await open(t, { expectErrors: AWAY });
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	const mark = join(folder, 'typed');
	await type(page, 'echo before');
	await says(page, 'before');

	await server.stop('SIGKILL');
	await page
		.locator('main')
		.getByText(/^reconnecting since/)
		.first()
		.waitFor();
	// Typed while nobody hears it: kept, and typed once.
	await type(page, `echo once >> ${mark}`);
	await server.start();
	await eventually(() => Promise.resolve(existsSync(mark)), 60_000);
	await type(page, 'seq 1 3000 | tail -3; echo after');
	await says(page, /^after/);
	assert.equal(readFileSync(mark, 'utf8'), 'once\n');
	await says(page, /^3000$/);
	const text = await screen(page).innerText();
	assert.equal(text.split('\n').filter((line) => line.trim() === '3000').length, 1);
});

test('a phone has the keys it lacks, and scrolls the terminal and not the page', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t, PHONE);
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	// Keys are shown as they are once the line runs, and not while it is read.
	await type(page, 'seq 1 200; echo ready-$((1)); cat -v');
	await says(page, /^ready-1/);
	const keys = page.getByRole('toolbar', { name: say('terminal_keys') });
	await keys.getByRole('button', { name: 'Esc' }).tap();
	await says(page, '^[');
	await keys.getByRole('button', { name: say('terminal_key_up') }).tap();
	await says(page, /\^\[\[A/);

	const box = await page.locator('.xterm-screen').boundingBox();
	if (!box) throw new Error('there is no screen');
	const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
	await swipe(page, middle, { ...middle, y: middle.y + 200 });
	await eventually(async () => !(await screen(page).innerText()).includes('200'));
	assert.equal(await page.evaluate(() => scrollY), 0);

	const ctrl = keys.getByRole('button', { name: say('terminal_key_ctrl') });
	const pressed = (/** @type {boolean} */ is) =>
		eventually(async () => (await ctrl.getAttribute('aria-pressed')) === String(is));
	await ctrl.tap();
	await pressed(true);
	await page.locator('.xterm-helper-textarea').focus();
	await keysGoTo(page);
	await page.keyboard.type('c');
	await pressed(false);
	await type(page, 'echo back in the shell');
	await says(page, /^back in the shell/);
});

test('a device that lets the dashboard only view is watched, and not typed in', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const opened = await server.api(`/api/v1/devices/${agent.id}/link/terminals`, {
		json: { cols: 80, rows: 24, command: ['sh', '-c', 'echo for all to see; cat'] }
	});
	const page = await open(t, { expectErrors: AWAY });
	await signIn(page, server);
	await page.goto(`${server.url}/devices/${agent.id}/terminal`);
	await page
		.getByRole('list', { name: say('terminal_open_ones') })
		.getByRole('link')
		.click();
	await page.waitForURL(new RegExp(opened.id));
	await says(page, 'for all to see');

	const trust = new Program(join(PROGRAMS, 'foreman-agent'), [
		'trust',
		'dashboard',
		'view',
		'--state',
		agent.state
	]);
	assert.equal((await trust.ended).code, 0, trust.lines.join('\n'));
	await page.locator('main').getByText(say('terminal_view_only'), { exact: true }).waitFor();
	await type(page, 'not to be seen');
	assert.equal(await screen(page).getByText('not to be seen').count(), 0);
	await page.getByRole('button', { name: say('terminal_open_shell') }).waitFor({ state: 'detached' });

	const none = new Program(join(PROGRAMS, 'foreman-agent'), [
		'trust',
		'dashboard',
		'none',
		'--state',
		agent.state
	]);
	assert.equal((await none.ended).code, 0, none.lines.join('\n'));
	await page.getByRole('heading', { name: say('reach_not_trusted', { name: 'bench' }) }).waitFor();
	await shown(page, /foreman-agent trust dashboard operate/).waitFor();
});

test('files are browsed, read, found, uploaded, renamed, deleted and taken back', async (t) => {
	const { server, agent, folder } = await stack(t);
	await agent.join(server, 'bench', ['bash', 'read', 'write', 'logs']);
	const top = join(folder, 'files');
	mkdirSync(join(top, 'sub'), { recursive: true });
	writeFileSync(join(top, 'train.py'), 'import torch\n\ndef loss():\n    return 0.184\n');
	writeFileSync(join(top, 'sub', 'notes.md'), '# Notes\n\nthe loss is low\n');
	writeFileSync(join(top, '.secret-settings'), 'x');
	writeFileSync(join(top, 'blob.bin'), Buffer.from([0, 1, 2, 0, 255]));
	const page = await open(t, { expectErrors: USUAL });
	await signIn(page, server);
	const at = (/** @type {string} */ path) =>
		`${server.url}/devices/${agent.id}/files?${new URLSearchParams({ path })}`;
	await page.goto(at(top));

	const list = page.getByRole('list', { name: say('files_in', { name: 'files' }) });
	await list.getByRole('link', { name: 'train.py' }).waitFor();
	assert.equal(await list.getByText('.secret-settings').count(), 0);
	await page.getByRole('button', { name: say('files_hidden_show') }).click();
	await list.getByRole('link', { name: '.secret-settings' }).waitFor();

	await list.getByRole('link', { name: 'train.py' }).click();
	const content = page.getByRole('region', { name: say('files_content') });
	await content.getByText('torch').waitFor();
	await content.locator('span[style*="--code-token-keyword"]').first().waitFor();
	await page.getByRole('button', { name: say('files_find_in') }).click();
	await page.getByRole('searchbox', { name: say('files_find_in') }).fill('loss');
	await content.locator('mark').first().waitFor();
	await page.goto(
		`${server.url}/devices/${agent.id}/files/view?${new URLSearchParams({ path: join(top, 'blob.bin') })}`
	);
	await page.getByRole('heading', { name: say('files_binary') }).waitFor();

	await page.goto(at(top));
	await page.getByRole('button', { name: say('files_find') }).click();
	await page.getByRole('searchbox').fill('notes');
	await page.getByRole('link', { name: 'notes.md' }).waitFor();
	await page.getByText(say('files_find_kind_text'), { exact: true }).click();
	await page.getByRole('searchbox').fill('loss');
	await page.getByText(say('files_hits', { count: 2 })).waitFor();
	await page.getByRole('region', { name: 'sub/notes.md' }).getByRole('link').last().click();
	await page.waitForURL(/line=3/);
	await content.getByText('the loss is low').waitFor();

	await page.goto(at(top));
	const large = Buffer.alloc(5 * 1024 * 1024, 'foreman ');
	await page
		.locator('input[type="file"]')
		.setInputFiles([{ name: 'model.bin', mimeType: 'application/octet-stream', buffer: large }]);
	await page
		.getByRole('region', { name: say('files_uploads') })
		.getByText(say('files_upload_done'))
		.waitFor();
	assert.ok(readFileSync(join(top, 'model.bin')).equals(large));
	await list.getByRole('link', { name: 'model.bin' }).waitFor();

	const menu = (/** @type {string} */ name) =>
		page.getByRole('button', { name: say('files_actions', { name }) });
	await menu('model.bin').click();
	await page.getByRole('menuitem', { name: say('device_page_rename') }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel(say('device_name')).fill('weights.bin');
	await dialog.getByRole('button', { name: say('device_page_rename'), exact: true }).click();
	await list.getByRole('link', { name: 'weights.bin' }).waitFor();
	await eventually(async () => existsSync(join(top, 'weights.bin')) && !existsSync(join(top, 'model.bin')));

	await menu('weights.bin').click();
	await page.getByRole('menuitem', { name: say('files_trash') }).click();
	await list.getByRole('link', { name: 'weights.bin' }).waitFor({ state: 'hidden' });
	await eventually(async () => !existsSync(join(top, 'weights.bin')));
	await page.getByRole('button', { name: say('undo') }).click();
	await list.getByRole('link', { name: 'weights.bin' }).waitFor();
	await eventually(async () => existsSync(join(top, 'weights.bin')));
	assert.ok(readFileSync(join(top, 'weights.bin')).equals(large));

	await page.getByRole('button', { name: say('files_new_folder') }).click();
	await dialog.getByLabel(say('device_name')).fill('runs');
	await dialog.getByRole('button', { name: say('files_make'), exact: true }).click();
	await list.getByRole('link', { name: 'runs' }).click();
	await page.getByRole('heading', { name: say('files_empty') }).waitFor();
});

test('a folder of 20,000 files scrolls', async (t) => {
	const { server, agent, folder } = await stack(t, { device: 'bench' });
	const top = join(folder, 'many');
	mkdirSync(top);
	for (let n = 0; n < 20_000; n++) writeFileSync(join(top, `frame-${String(n).padStart(5, '0')}`), '');
	const page = await open(t, { expectErrors: USUAL });
	await signIn(page, server);
	await page.goto(`${server.url}/devices/${agent.id}/files?${new URLSearchParams({ path: top })}`);
	await page.getByRole('link', { name: 'frame-00000' }).waitFor();
	await page.getByText(say('files_count', { count: 20000 })).waitFor();
	await page
		.locator('main ul')
		.last()
		.evaluate((list) => list.parentElement?.scrollTo(0, 1e9));
	await page.getByRole('link', { name: 'frame-19999' }).waitFor();
	assert.ok((await page.locator('main li').count()) < 200, 'only what is seen is drawn');
});

test('a log file is followed through its rotation, filtered, paused', async (t) => {
	const { server, agent, folder } = await stack(t, { device: 'bench' });
	const file = join(folder, 'robot.log');
	writeFileSync(file, '\x1b[31mERROR\x1b[0m arm blocked\nINFO ready\n');
	const page = await open(t);
	await signIn(page, server);
	await page.goto(
		`${server.url}/devices/${agent.id}/logs?${new URLSearchParams({ source: `file:${file}` })}`
	);
	const log = page.getByRole('log', { name: say('logs_lines') });
	await log.getByText('arm blocked').waitFor();
	await log.locator('.ansi-fg-1').getByText('ERROR').waitFor();
	appendFileSync(file, 'INFO moving\n');
	await log.getByText('INFO moving').waitFor();
	renameSync(file, `${file}.1`);
	writeFileSync(file, 'INFO after the rotation\n');
	await log.getByText('after the rotation').waitFor();

	await page.getByRole('button', { name: say('logs_pause') }).click();
	appendFileSync(file, 'INFO while paused\n');
	await page.getByText(say('logs_paused', { count: 1 })).waitFor();
	assert.equal(await log.getByText('while paused').count(), 0);
	await page.getByRole('button', { name: say('logs_resume') }).click();
	await log.getByText('while paused').waitFor();

	await page.getByRole('searchbox', { name: say('logs_filter') }).fill('blocked');
	await page.waitForURL(/grep=blocked/);
	await log.getByText('while paused').waitFor({ state: 'hidden' });
	appendFileSync(file, 'ERROR blocked again\n');
	await log.getByText('blocked again').waitFor();
});

test('what the device does not allow is explained, not failed', async (t) => {
	const { server, agent } = await stack(t);
	await agent.join(server, 'strict', ['read']);
	const page = await open(t, { ...DESKTOP, expectErrors: USUAL });
	await signIn(page, server);
	for (const [tool, setting] of [
		['terminal', 'ALLOW_BASH'],
		['logs', 'ALLOW_LOGS']
	]) {
		await page.goto(`${server.url}/devices/${agent.id}/${tool}`);
		await shown(page, new RegExp(`${setting}=true`)).waitFor();
	}
	// Allowed there, it goes on here by itself.
	appendFileSync(join(agent.state, 'policy.env'), '\nALLOW_LOGS=true\n');
	await page
		.getByRole('heading', { name: say('logs_none') })
		.or(page.getByRole('log'))
		.first()
		.waitFor();
	await page.goto(`${server.url}/devices/${agent.id}/files`);
	const upload = page.getByRole('button', { name: new RegExp(`^${say('files_upload')}`) });
	await eventually(() => upload.isDisabled());
	await shown(page, say('files_read_only_policy')).waitFor();
});

test('a program is signed in by its code, and not by the link alone', async (t) => {
	const { server } = await stack(t);
	const page = await open(t);
	await signIn(page, server);
	const ask = async () => {
		const response = await fetch(`${server.url}/api/v1/auth/device/code`, {
			method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ client_name: 'foreman on laptop' })
		});
		return response.json();
	};
	const poll = async (/** @type {string} */ device_code) => {
		const response = await fetch(`${server.url}/api/v1/auth/device/token`, {
			method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ device_code })
		});
		return { status: response.status, ...(await response.json()) };
	};
	const asked = await ask();
	await page.goto(`${server.url}/link?code=${asked.user_code}`);
	await page.getByRole('heading', { name: say('link_asks', { name: 'foreman on laptop' }) }).waitFor();
	await page.getByText(asked.user_code, { exact: true }).waitFor();
	assert.equal((await poll(asked.device_code)).error, 'authorization_pending');
	await page.getByRole('button', { name: say('link_approve') }).click();
	await page.getByRole('heading', { name: say('link_approved', { name: 'foreman on laptop' }) }).waitFor();
	await eventually(async () => (await poll(asked.device_code)).token, 30_000);
});
