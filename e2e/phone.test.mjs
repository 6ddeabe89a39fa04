// @ts-check
// On a phone: one thumb, no sideways scrolling, quick actions by swipe and by button.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PHONE, open, outputOf, settled, shown, signIn, swipe } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** The middle of something. @param {import('playwright-core').Locator} locator */
async function middle(locator) {
	await settled(locator.page());
	// Tried without a tap: it is there, and it does not move.
	await locator.tap({ trial: true });
	const box = await locator.boundingBox();
	if (!box) throw new Error('it is not on the screen');
	return { x: box.x + box.width / 2, y: box.y + box.height / 2, width: box.width };
}

test('a swipe opens quick actions, and a button has the same', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { id } = await server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell: 'sleep 600' } });
	await eventually(async () => (await server.api(`/api/v1/tasks/${id}`)).state === 'running');
	const page = await open(t, PHONE);
	await signIn(page, server);
	await page
		.getByRole('navigation', { name: say('nav_main') })
		.getByRole('link', { name: say('nav_devices') })
		.tap();
	const card = page.getByRole('article').first();
	await card.getByText(say('device_running', { count: 1 })).waitFor();

	const actions = page.getByRole('group', { name: say('device_swipe_hint', { name: 'bench' }) });
	const stopAll = actions.getByRole('button', { name: say('device_stop_all_short') });
	assert.equal(await stopAll.count(), 0, 'closed, they cannot be reached');
	const { x, y, width } = await middle(card);
	await swipe(page, { x: x + width / 3, y }, { x: x - width / 3, y });
	for (const key of ['device_logs', 'device_terminal', 'device_stop_all_short', 'device_disconnect']) {
		await actions.getByRole('button', { name: say(key) }).waitFor();
	}
	assert.equal(new URL(page.url()).pathname, '/devices', 'the swipe was no tap');
	await stopAll.tap();
	const question = page.getByRole('alertdialog').or(page.getByRole('dialog'));
	await question.getByRole('button', { name: say('device_stop_all'), exact: true }).tap();
	await eventually(async () => (await server.api(`/api/v1/tasks/${id}`)).state === 'stopped');

	await page.getByRole('button', { name: say('device_actions', { name: 'bench' }) }).tap();
	for (const key of ['device_logs', 'device_terminal', 'device_stop_all', 'device_disconnect']) {
		await page.getByRole('menuitem', { name: say(key) }).waitFor();
	}
});

test('a task is stopped by a swipe in two steps, and by its menu', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const run = async () => {
		const { id } = await server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell: 'sleep 600' } });
		await eventually(async () => (await server.api(`/api/v1/tasks/${id}`)).state === 'running');
		return id;
	};
	const state = async (/** @type {string} */ id) => (await server.api(`/api/v1/tasks/${id}`)).state;
	const first = await run();
	const page = await open(t, PHONE);
	await signIn(page, server);
	await page.goto(server.url + '/work');
	const label = say('task_actions', { command: 'sleep 600' });
	const actions = page.getByRole('group', { name: label });
	const stop = actions.getByRole('button', { name: say('task_stop'), exact: true });
	const row = page.getByRole('link', { name: /sleep 600/ });
	const { x, y, width } = await middle(row);
	assert.equal(await stop.count(), 0, 'closed, they cannot be reached');
	await swipe(page, { x: x + width / 4, y }, { x: x - width / 4, y });
	await stop.tap();
	const question = page.getByRole('dialog', { name: say('task_stop_title') });
	await question.waitFor();
	assert.equal(await state(first), 'running', 'the first step stops nothing');
	assert.equal(new URL(page.url()).pathname, '/work', 'the swipe was no tap');
	await question.getByRole('button', { name: say('task_stop'), exact: true }).tap();
	await eventually(async () => (await state(first)) === 'stopped');

	const second = await run();
	// The page has heard of it, too: the newest comes first.
	await eventually(async () => (await row.count()) === 2);
	await page.getByRole('button', { name: label }).first().tap();
	await page.getByRole('menuitem', { name: say('task_stop'), exact: true }).tap();
	await question.getByRole('button', { name: say('task_stop'), exact: true }).tap();
	await eventually(async () => (await state(second)) === 'stopped');
});

test('scrolling down is not a swipe', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const page = await open(t, PHONE);
	await signIn(page, server);
	await page.goto(server.url + '/devices');
	const { x, y } = await middle(page.getByRole('article').first());
	await swipe(page, { x, y }, { x: x - 12, y: y - 160 });
	const actions = page.getByRole('group', { name: say('device_swipe_hint', { name: 'bench' }) });
	assert.equal(await actions.getByRole('button').count(), 0);
});

test('a task is started and followed with one thumb', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const page = await open(t, PHONE);
	await signIn(page, server);
	await page.getByRole('link', { name: say('home_run') }).tap();
	const dialog = page.getByRole('dialog', { name: say('run_title') });
	await dialog.getByLabel(say('run_shell'), { exact: true }).fill('echo from the phone');
	await dialog.getByRole('button', { name: say('run_submit'), exact: true }).tap();
	await outputOf(page).getByText('from the phone', { exact: true }).waitFor();
	await shown(page, say('task_state_succeeded')).waitFor();

	const small = await page.evaluate(() =>
		Array.from(document.querySelectorAll('nav a, button'))
			.filter((element) => element.checkVisibility() && element.getBoundingClientRect().width > 0)
			.filter((element) => element.getBoundingClientRect().height < 40)
			.map((element) => element.outerHTML.slice(0, 120))
	);
	assert.deepEqual(small, [], 'targets that are too small for a finger');
});
