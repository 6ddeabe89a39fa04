// @ts-check
// The activity page: who did what, filtered, exported, and proven unedited.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { go, open, signIn } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

test('everything that happened is there, and the chain is intact', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { id } = await server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell: 'exit 3' } });
	await eventually(async () => (await server.api(`/api/v1/tasks/${id}`)).state === 'failed');
	const page = await open(t);
	await signIn(page, server);
	await page.goto(server.url + '/activity');
	const list = page
		.getByRole('list', { name: say('activity_list') })
		.or(page.getByRole('region', { name: say('activity_list') }));
	const values = { device: 'bench', command: 'exit 3', code: 3 };
	for (const key of [
		'activity_device_connected',
		'activity_device_facts',
		'activity_task_started',
		'activity_task_failed_code'
	]) {
		await list.getByText(say(key, values)).first().waitFor();
	}

	await page.getByRole('button', { name: say('activity_verify') }).click();
	const { items } = await server.api('/api/v1/audit?limit=1');
	await page.getByText(new RegExp(say('activity_verify_intact', { count: '\\d+' }))).waitFor();
	assert.ok(items[0].cursor > 5);

	// What happens now shows without a reload.
	await server.api(`/api/v1/devices/${agent.id}`, { method: 'PATCH', json: { name: 'renamed' } });
	await list
		.getByText(/renamed/)
		.first()
		.waitFor();

	const download = page.waitForEvent('download');
	await page
		.getByRole('link', { name: say('activity_export') })
		.or(page.getByRole('button', { name: say('activity_export') }))
		.click();
	const lines = await (await (await download).createReadStream()).toArray();
	const records = Buffer.concat(lines)
		.toString()
		.trim()
		.split('\n')
		.map((line) => JSON.parse(line));
	assert.deepEqual(
		records.map((record) => record.cursor),
		records.map((_, index) => index + 1)
	);
	// What a device tells of itself may come in between; the newest that a person did is there.
	const renamed = records.findLast((record) => record.type === 'device.updated');
	assert.equal(renamed?.data.device.name, 'renamed');
});

test('a filter is in the address and survives a reload', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await page.goto(server.url + '/activity');
	await page.getByLabel(say('activity_filter_text')).fill('bench');
	await page.waitForURL(/[?&]\w+=bench/);
	await page.reload();
	assert.equal(await page.getByLabel(say('activity_filter_text')).inputValue(), 'bench');
	await page
		.getByText(say('activity_device_connected', { device: 'bench' }))
		.first()
		.waitFor();
	await page.getByLabel(say('activity_filter_text')).fill('nothing is called this');
	await page.getByText(say('activity_empty_filtered')).waitFor();
	await go(page, 'nav_home');
});
