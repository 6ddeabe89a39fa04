// @ts-check
// What a device cannot do now: said in the reader's language, with the cause, and not only that it went wrong.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CUT_OFF, open, signIn } from './browser.mjs';
import { stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

const german = catalogue('de');
const words = (/** @type {string} */ key, values = {}) => say(key, values, german);

const EXPECTED = new RegExp(`${CUT_OFF.source}|status of (404|409|503)`);

/** A page in German, and a device whose files may be written. @param {import('node:test').TestContext} t */
async function scene(t) {
	const { server, agent, folder } = await stack(t);
	await agent.join(server, 'bench', ['bash', 'read', 'write', 'logs']);
	const page = await open(t, { locale: 'de-DE', expectErrors: EXPECTED });
	await signIn(page, server);
	return { server, agent, folder, page };
}

test('what does not fit the files of a device, and what there is too much of, is said with its cause', async (t) => {
	const { server, agent, folder, page } = await scene(t);
	const top = join(folder, 'files');
	mkdirSync(top);
	writeFileSync(join(top, 'a.txt'), 'a');
	writeFileSync(join(top, 'b.txt'), 'b');
	await page.goto(`${server.url}/devices/${agent.id}/files?${new URLSearchParams({ path: top })}`);
	await page.getByRole('button', { name: words('files_actions', { name: 'a.txt' }), exact: true }).click();
	await page.getByRole('menuitem', { name: words('device_page_rename'), exact: true }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel(words('device_name')).fill('b.txt');
	await dialog.getByRole('button', { name: words('device_page_rename'), exact: true }).click();
	await dialog.getByText(words('reason_name_taken')).waitFor();
	assert.equal(readFileSync(join(top, 'b.txt'), 'utf8'), 'b');

	const terminals = `/api/v1/devices/${agent.id}/link/terminals`;
	for (let count = 0; count < 64; count += 1)
		await server.api(terminals, { json: { command: ['sleep', '600'] } });
	await page.goto(`${server.url}/devices/${agent.id}/terminal`);
	await page
		.getByRole('button', { name: words('terminal_open_shell'), exact: true })
		.first()
		.click();
	await page.getByText(words('reason_terminals_open')).waitFor();
});

test('why a log cannot be read, and why it ended, is said with the cause', async (t) => {
	const { server, agent, folder, page } = await scene(t);
	const { unavailable } = await server.api(`/api/v1/devices/${agent.id}/link/logs`);
	const missing = unavailable.find((/** @type {any} */ one) => one.code === 'not_installed');
	const logs = (/** @type {string} */ source) =>
		`${server.url}/devices/${agent.id}/logs?${new URLSearchParams({ source })}`;
	const around = join(folder, 'around.log');
	symlinkSync(around, around);
	await page.goto(logs(`file:${around}`));
	const status = page.getByRole('main').getByRole('status');
	const said = words('logs_why_said', { words: 'Too many levels of symbolic links (os error 40)' });
	await status.getByText(words('logs_unavailable', { reason: said }), { exact: true }).waitFor();
	if (missing) {
		await page.getByRole('button', { name: new RegExp(`^${words('logs_source')}: `) }).click();
		const kind = page.getByRole('dialog').getByRole('region', { name: words(`logs_kind_${missing.kind}`) });
		const reason = words('logs_why_not_installed');
		await kind.getByText(words('logs_unavailable', { reason }), { exact: true }).waitFor();
	}

	const task = await server.api(`/api/v1/devices/${agent.id}/tasks`, {
		json: { shell: 'echo begun; exec sleep 20' }
	});
	await page.goto(logs(`task:${task.id}`));
	await page.getByRole('log').getByText('begun', { exact: true }).waitFor();
	rmSync(join(agent.state, 'tasks', task.id), { recursive: true });
	const reason = words('logs_why_with_server');
	await page.getByText(words('logs_end_reason', { reason }), { exact: true }).waitFor();
});
