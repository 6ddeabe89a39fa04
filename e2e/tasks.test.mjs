// @ts-check
// Work: started in the dashboard, run by the real agent, seen live, stopped.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { copiedOutput, go, open, outputOf, runShell, shown, signIn } from './browser.mjs';
import { priced, withProvider } from './lab.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { say } from './words.mjs';

test('a shell line streams its output while it runs, and ends', async (t) => {
	const { server, folder } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	const go = join(folder, 'go');
	await runShell(
		page,
		`printf '\\033[32mgreen\\033[0m one\\n'; while [ ! -e ${go} ]; do sleep 0.05; done; echo two`
	);
	await outputOf(page).getByText('green one').waitFor();
	assert.equal(await outputOf(page).getByText('two', { exact: true }).count(), 0, 'it has not gone on yet');
	await shown(page, say('task_state_running')).waitFor();

	writeFileSync(go, '');
	await outputOf(page).getByText('two', { exact: true }).waitFor();
	await shown(page, say('task_state_succeeded')).waitFor();
	assert.equal(await copiedOutput(page), 'green one\ntwo\n');
});

test('a stopped task is stopped on the machine, with its children', async (t) => {
	const { server, folder } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	const mark = join(folder, 'beat');
	await runShell(
		page,
		`setsid sh -c 'while :; do date +%s%N > ${mark}; sleep 0.05; done' & echo ready; wait`
	);
	await outputOf(page).getByText('ready').waitFor();
	await eventually(async () => existsSync(mark));
	await page
		.getByRole('button', { name: say('task_stop'), exact: true })
		.first()
		.click();
	await shown(page, say('task_state_stopped')).waitFor();
	const { items } = await server.api('/api/v1/tasks');
	assert.equal(items[0].state, 'stopped');
	assert.ok(items[0].stop_requested_at);
});

test('what a device does not allow is refused with its reason', async (t) => {
	const { server, agent } = await stack(t);
	await agent.join(server, 'closed', []);
	const page = await open(t);
	await signIn(page, server);
	const task = await server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell: 'id' } });
	await eventually(async () => (await server.api(`/api/v1/tasks/${task.id}`)).state === 'refused');
	await go(page, 'nav_work');
	await shown(page, say('task_state_refused')).waitFor();
});

test('a page opened late shows the same output', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { id } = await server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell: 'seq 1 5000' } });
	await eventually(async () => (await server.api(`/api/v1/tasks/${id}`)).state === 'succeeded');
	const page = await open(t);
	await signIn(page, server);
	await go(page, 'nav_work');
	await page
		.getByRole('link', { name: /seq 1 5000/ })
		.first()
		.click();
	await outputOf(page).getByText('5000', { exact: true }).waitFor();
	const lines = (await copiedOutput(page)).trimEnd().split('\n');
	assert.deepEqual(
		lines,
		Array.from({ length: 5000 }, (_, index) => String(index + 1))
	);
});

test('a task asks a model with a key of its own, which is over when it is', async (t) => {
	const base = await vendor(t, 'small', 'large');
	const { server, folder } = await stack(t, { device: 'bench' });
	await withProvider(server, base);
	await priced(server, 'small');
	const page = await open(t);
	await signIn(page, server);
	await go(page, 'nav_work');
	await page.getByRole('link', { name: say('work_new') }).click();
	const dialog = page.getByRole('dialog', { name: say('run_title') });
	const field = (/** @type {string} */ key) => dialog.getByLabel(say(key), { exact: true });
	const gate = join(folder, 'go');
	const asks = (/** @type {string} */ model) =>
		`curl -sS -w '\\n%{http_code} ${model}\\n' "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" ` +
		`-H 'content-type: application/json' -d '{"model":"lab/${model}","messages":[{"role":"user","content":"Hello"}]}'`;
	await field('run_shell').fill(
		`echo "told to ask $OPENAI_MODEL"; ${asks('small')}; ${asks('large')}; while [ ! -e ${gate} ]; do sleep 0.05; done`
	);
	await dialog.getByText(say('run_more'), { exact: true }).click();
	await field('run_models').selectOption('lab/small');
	await dialog.getByText(say('run_models_chosen')).waitFor();
	await field('run_models_cap').fill('much');
	const run = dialog.getByRole('button', { name: say('run_submit'), exact: true });
	await run.click();
	await dialog.getByText(say('model_price_wrong')).waitFor();
	await field('run_models_cap').fill('2,50');
	await run.click();
	await dialog.waitFor({ state: 'hidden' });
	for (const line of ['told to ask lab/small', '200 small', '404 large'])
		await outputOf(page).getByText(line, { exact: true }).waitFor();
	await page.getByText(say('task_details'), { exact: true }).click();
	await shown(page, say('task_models_cap', { cap: '$2.50' })).waitFor();
	const task = new URL(page.url()).pathname;

	await page.goto(server.url + '/models/keys');
	const key = page.getByRole('listitem').filter({ hasText: 'lab/small' });
	await key.getByRole('link', { name: say('key_of_task') }).click();
	await page.waitForURL((url) => url.pathname === task);
	writeFileSync(gate, '');
	await shown(page, say('task_state_succeeded')).waitFor();
	await page.goto(server.url + '/models/keys');
	await shown(page, say('keys_none')).waitFor();
});
