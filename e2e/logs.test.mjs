// @ts-check
// The logs of a device: which there are and which not and why, only those bad enough, levels in colours, where lines
// are missing, and what is shown as a file.
import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CUT_OFF, DESKTOP, PHONE, open, shown, signIn } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** What Chromium reports while a device is away. */
const AWAY = new RegExp(`${CUT_OFF.source}|status of (404|502|503|504)`);

/** Why a kind of logs is not there, as the page says it. @param {{ code: string, detail?: string }} missing */
function why({ code, detail }) {
	if (code === 'no_right') return say('logs_why_no_right_group', { group: detail });
	return say(`logs_why_${code}`, { words: detail });
}

test('a log is chosen among what the device has, and what it does not have says why', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const run = (/** @type {string} */ shell) =>
		server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell } });
	const task = await run('echo WARN from the task; exec sleep 600');
	const over = await run('echo done already');
	await eventually(async () => (await server.api(`/api/v1/tasks/${over.id}`)).state === 'succeeded');
	await eventually(async () => (await server.api(`/api/v1/tasks/${task.id}`)).output_bytes > 0);
	const { sources, unavailable } = await server.api(`/api/v1/devices/${agent.id}/link/logs`);
	const page = await open(t, { expectErrors: AWAY });
	await signIn(page, server);
	await page.goto(`${server.url}/devices/${agent.id}/logs?source=task:${task.id}`);
	const log = page.getByRole('log', { name: say('logs_lines') });
	await log.getByText('WARN from the task').waitFor();

	const choose = page.getByRole('button', { name: new RegExp(`^${say('logs_source')}: `) });
	await choose.click();
	const dialog = page.getByRole('dialog', { name: say('logs_choose'), exact: true });
	const kind = (/** @type {string} */ name) =>
		dialog.getByRole('region', { name: say(`logs_kind_${name}`), exact: true });
	// Each kind is there with its logs or with the reason why not: nothing is silently left out.
	for (const name of ['journal', 'container']) {
		const there = sources.filter((/** @type {any} */ one) => one.kind === name);
		const missing = unavailable.find((/** @type {any} */ one) => one.kind === name);
		assert.ok(there.length > 0 || missing, `${name} has neither logs nor a reason`);
		if (missing)
			await kind(name)
				.getByText(say('logs_unavailable', { reason: why(missing) }))
				.waitFor();
		else await kind(name).getByRole('button', { name: there[0].name }).first().waitFor();
	}
	const own = sources.find((/** @type {any} */ one) => one.id === `task:${task.id}`);
	const offered = kind('task').getByRole('button', { name: own.name });
	await eventually(async () => (await offered.getAttribute('aria-current')) === 'true');
	// By typing, and any file by its path.
	await dialog.getByRole('searchbox', { name: say('logs_find_source') }).fill('nothing is called this');
	await offered.waitFor({ state: 'detached' });
	await dialog.getByLabel(say('logs_file_path'), { exact: true }).fill('/nowhere/at/all.log');
	await dialog.getByRole('button', { name: say('terminal_open'), exact: true }).click();
	await page.waitForURL(/source=file/);
	await page.getByText(say('logs_read_failed')).waitFor();
	await choose.click();
	await offered.click();
	await log.getByText('WARN from the task').waitFor();

	// Of a task that is over the device keeps nothing; its page has it.
	await page.goto(`${server.url}/devices/${agent.id}/logs?source=task:${over.id}`);
	await page.getByRole('heading', { name: say('logs_task_over') }).waitFor();
	await page.getByRole('link', { name: say('logs_task_open') }).click();
	await page.waitForURL(`**/tasks/${over.id}`);
	await shown(page, 'done already').waitFor();
});

test('a log is cut down to a level, shows what is missing and is saved', async (t) => {
	const { server, agent, folder } = await stack(t, { device: 'bench' });
	const file = join(folder, 'arm.log');
	writeFileSync(file, 'DEBUG tick\nINFO ready\nWARN warm\n  by the motor\nERROR blocked\n');
	const page = await open(t, { expectErrors: AWAY });
	await signIn(page, server);
	const source = new URLSearchParams({ source: `file:${file}` });
	await page.goto(`${server.url}/devices/${agent.id}/logs?${source}`);
	const log = page.getByRole('log', { name: say('logs_lines') });
	await log.getByText('ERROR blocked').waitFor();
	const colour = (/** @type {string} */ level) =>
		log
			.locator('span')
			.getByText(say(`logs_level_${level}`), { exact: true })
			.evaluate((node) => getComputedStyle(node).color);
	const colours = [await colour('debug'), await colour('info'), await colour('warn'), await colour('error')];
	assert.equal(new Set(colours).size, 4, colours.join(' '));

	await page.getByLabel(say('logs_level'), { exact: true }).selectOption('warn');
	await page.waitForURL(/level=warn/);
	await log.getByText('INFO ready').waitFor({ state: 'detached' });
	await log.getByText('ERROR blocked').waitFor();
	// What continues a line belongs to it.
	await log.getByText('by the motor').waitFor();
	appendFileSync(file, 'INFO moving\nERROR stuck\n');
	await log.getByText('ERROR stuck').waitFor();
	assert.equal(await log.getByText('INFO moving').count(), 0);

	// While the device is away its log goes, and another begins: what was between is said to be missing.
	await agent.stop('SIGKILL');
	rmSync(file);
	writeFileSync(file, 'ERROR of another day\n');
	await agent.run();
	await log.getByText('ERROR of another day').waitFor({ timeout: 60_000 });
	await log.getByText(say('logs_gap'), { exact: true }).waitFor();

	const [download] = await Promise.all([
		page.waitForEvent('download'),
		page.getByRole('button', { name: say('logs_save') }).click()
	]);
	assert.match(download.suggestedFilename(), /^bench-arm\.log$/);
	assert.deepEqual(
		readFileSync(await download.path(), 'utf8')
			.trim()
			.split('\n'),
		[
			'WARN WARN warm',
			'  by the motor',
			'ERROR ERROR blocked',
			'ERROR ERROR stuck',
			`--- ${say('logs_gap')} ---`,
			'ERROR ERROR of another day'
		]
	);
});

test('a file that is no log of the system takes the right to read files, and the page says so', async (t) => {
	const { server, agent, folder } = await stack(t);
	await agent.join(server, 'strict', ['logs']);
	const file = join(folder, 'arm.log');
	writeFileSync(file, 'INFO ready\n');
	const page = await open(t, { expectErrors: new RegExp(`${AWAY.source}|status of 403`) });
	await signIn(page, server);
	await page.goto(`${server.url}/devices/${agent.id}/logs`);
	await page
		.getByRole('button', { name: new RegExp(`^${say('logs_source')}|^${say('logs_choose')}`) })
		.click();
	const dialog = page.getByRole('dialog', { name: say('logs_choose'), exact: true });
	const hint = dialog.getByText(say('logs_file_path_hint', { setting: 'ALLOW_FILE_READ=true' }));
	await hint.waitFor();
	await dialog.getByLabel(say('logs_file_path'), { exact: true }).fill(file);
	await dialog.getByRole('button', { name: say('terminal_open'), exact: true }).click();
	await shown(page, /ALLOW_FILE_READ/).waitFor();
	appendFileSync(join(agent.state, 'policy.env'), '\nALLOW_FILE_READ=true\n');
	await eventually(async () => (await server.api(`/api/v1/devices/${agent.id}`)).policy.allow_file_read);
	await page.reload();
	await page
		.getByRole('log', { name: say('logs_lines') })
		.getByText('INFO ready')
		.waitFor();
	await page.getByRole('button', { name: new RegExp(`^${say('logs_source')}: `) }).click();
	await dialog.getByLabel(say('logs_file_path'), { exact: true }).waitFor();
	assert.equal(await hint.count(), 0);
});

test('a log that cannot be read now says why, and begins as soon as it can', async (t) => {
	const { server, agent, folder } = await stack(t, { device: 'bench' });
	const file = join(folder, 'arm.log');
	// Leads to itself, so that nobody reads it, an administrator neither.
	symlinkSync(file, file);
	for (const size of [DESKTOP, PHONE]) {
		const page = await open(t, { ...size, expectErrors: AWAY });
		await signIn(page, server);
		await page.goto(
			`${server.url}/devices/${agent.id}/logs?${new URLSearchParams({ source: `file:${file}` })}`
		);
		const status = page.getByRole('main').getByRole('status');
		const reason = say('logs_why_said', { words: 'Too many levels of symbolic links (os error 40)' });
		await status.getByText(say('logs_unavailable', { reason }), { exact: true }).waitFor();
		assert.equal(await page.getByText(say('logs_nothing_yet'), { exact: true }).count(), 0);
		await page.screenshot({ path: `test-results/log-unread-${size.viewport.width}.png` });
		rmSync(file);
		writeFileSync(file, 'INFO ready\n');
		await page
			.getByRole('log', { name: say('logs_lines') })
			.getByText('INFO ready')
			.waitFor();
		rmSync(file);
		symlinkSync(file, file);
	}
});
