// @ts-check
// Work: started in the dashboard, run by the real agent, seen live, stopped.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { copiedOutput, go, open, outputOf, runShell, shown, signIn } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
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
