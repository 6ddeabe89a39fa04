// @ts-check
// Notifications of the app, on a bus of the test's own.
import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

/** @param {import('../e2e/stack.mjs').Server} server @param {string | undefined} device @param {string} shell */
const run = (server, device, shell) => server.api(`/api/v1/devices/${device}/tasks`, { json: { shell } });

/** Until the app has written this down of what is to be told. @param {Desk} desk @param {(rules: any) => boolean} so */
const decided = (desk, so) =>
	eventually(async () => {
		const path = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/preferences.json');
		const { notices } = JSON.parse(await readFile(path, 'utf8').catch(() => '{}'));
		return Object.values(notices ?? {}).some(so);
	});

test('a task that fails raises a notification, which opens it; not when it is in front; the page in front takes it back', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await enter(window, server);
	await window.text('forge');

	const task = await run(server, agent.id, 'exit 3');
	const notice = await desk.services.notice(say('notice_failed_title', { device: 'forge' }));
	assert.equal(notice.body, `exit 3\n${say('notice_exit', { code: 3 })}`);
	desk.services.press(notice);
	await window.until('return location.pathname === arguments[0]', `/tasks/${task.id}`);
	await desk.services.withdrawn(notice);

	// This one is looked at while it fails; the other one is not.
	const gate = join(desk.path, 'gate');
	const seen = await run(server, agent.id, `until test -e ${gate}; do sleep 0.1; done; exit 4`);
	await window.go(`/tasks/${seen.id}`);
	await window.text('exit 4');
	await writeFile(gate, '');
	await eventually(async () => (await server.api(`/api/v1/tasks/${seen.id}`)).state === 'failed');
	await run(server, agent.id, 'exit 5');
	await eventually(async () =>
		desk.services.notices.some((one) => one.body.includes(say('notice_exit', { code: 5 })))
	);
	assert.ok(!desk.services.notices.some((one) => one.body.includes(say('notice_exit', { code: 4 }))));
});

test('an offline device is told of, and taken back when it is there again; a muted one is not told of', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge', env: { FOREMAN_OFFLINE_AFTER_S: '5' } });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	await agent.stop();
	const title = say('notice_offline_title', { device: 'forge' });
	const notice = await desk.services.notice(title);
	assert.ok(notice.actions.includes('mute'));
	await agent.run();
	await desk.services.withdrawn(notice);

	await agent.stop();
	const again = await eventually(async () =>
		desk.services.notices.filter((one) => one.title === title).at(1)
	);
	desk.services.press(again, 'mute');
	await desk.services.withdrawn(again);
	await window.go('/settings/notifications');
	await window.until(
		`const label = [...document.querySelectorAll('label')].find((it) => it.textContent.trim() === 'forge');
		return label && document.getElementById(label.htmlFor).checked === false;`
	);
});

test('the page of notifications says who shows them, sends a test, and keeps the rules', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/notifications');
	await window.text(say('notices_ready', { name: 'Desk stub' }));
	await window.press(say('notices_test'));
	await desk.services.notice(say('notice_test_title'));
	await window.text(say('notices_tested'));
	await window.check(say('notices_kind_finished'));
	await window.check(say('notices_quiet_use'));
	await desk.keep('notifications');
	await window.check(say('notices_quiet_use'));
	await decided(desk, ({ kinds, quiet }) => kinds.includes('task_finished') && !quiet);
	await run(server, agent.id, 'true');
	const done = await desk.services.notice(say('notice_finished_title', { device: 'forge' }));
	assert.equal(done.body, 'true');
});

test('without anybody who shows notifications the page says so, and all else goes on', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await run(server, agent.id, 'exit 3');
	await window.go('/settings/notifications');
	await window.text(say('notices_missing'));
	await window.press(say('notices_test'));
	await window.until(
		`return document.querySelectorAll('[role=alert]').length > 0 || document.body.innerText.split(arguments[0]).length > 2`,
		say('notices_missing')
	);
	await desk.keep('no-notifications');
});

/** The vendor's program as it answers for one GPU, with as much memory used as a file says, MiB. @param {string} used */
const NVIDIA_SMI = (used) => `#!/bin/sh
case "$*" in
*memory.used*) while cat '${used}' | sed 's/.*/0, 97, &, 81559, 61, 412.10/'; do sleep 1; done ;;
*) echo '0, NVIDIA H100 80GB HBM3, 81559, 570.86.15, 9.0' ;;
esac
`;

test('GPU memory that is nearly full is told, and taken back when there is room again', async (t) => {
	const desk = await Desk.of(t, { services: true });
	const [programs, used] = [join(desk.path, 'programs'), join(desk.path, 'used')];
	await mkdir(programs);
	await writeFile(used, '1024\n');
	await writeFile(join(programs, 'nvidia-smi'), NVIDIA_SMI(used));
	await chmod(join(programs, 'nvidia-smi'), 0o755);
	const path = process.env.PATH;
	process.env.PATH = programs + delimiter + path;
	const { server } = await stack(t, { device: 'forge' }).finally(() => (process.env.PATH = path));
	const window = await desk.open();
	await enter(window, server);
	await window.text('forge');
	await writeFile(used, '79000\n');
	const notice = await desk.services.notice(say('notice_gpu_title', { device: 'forge' }));
	assert.equal(notice.body, say('notice_gpu_body'));
	await writeFile(used, '1024\n');
	await desk.services.withdrawn(notice);
});

test('a task that starts can be stopped from its notification', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/notifications');
	await window.check(say('notices_kind_started'));
	await decided(desk, ({ kinds }) => kinds.includes('task_started'));
	const task = await run(server, agent.id, 'sleep 600');
	const notice = await desk.services.notice(say('notice_started_title', { device: 'forge' }));
	assert.ok(notice.actions.includes(say('notice_stop')));
	desk.services.press(notice, notice.actions[notice.actions.indexOf(say('notice_stop')) - 1]);
	await eventually(async () => (await server.api(`/api/v1/tasks/${task.id}`)).state === 'stopped');
	await desk.services.withdrawn(notice);
});

test('in quiet hours nothing is told, and what still holds is told when they end', async (t) => {
	const { server, agent } = await stack(t, { device: 'forge' });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/notifications');
	await window.check(say('notices_quiet_use'));
	// As the page counts them: minutes since midnight, by the hour.
	const at = (/** @type {number} */ hours) => String(((new Date().getHours() + hours + 24) % 24) * 60);
	const [from, to] = [at(-2), at(2)];
	for (const [label, time] of [
		[say('notices_quiet_from'), from],
		[say('notices_quiet_to'), to]
	]) {
		await window.until(
			`const label = [...document.querySelectorAll('label')].find((it) => it.textContent.trim() === arguments[0]);
			const field = label && (document.getElementById(label.htmlFor) ?? label.querySelector('input'));
			if (!field) return false;
			field.value = arguments[1];
			field.dispatchEvent(new Event('change', { bubbles: true }));
			return true;`,
			label,
			time
		);
	}
	await decided(desk, ({ quiet }) => quiet?.from === Number(from) && quiet?.to === Number(to));
	const task = await run(server, agent.id, 'exit 3');
	await window.go('/work');
	await window.text('exit 3');
	await eventually(async () => (await server.api(`/api/v1/tasks/${task.id}`)).state === 'failed');
	await window.text(say('task_state_failed'));
	assert.deepEqual(desk.services.notices, []);
	await window.go('/settings/notifications');
	await window.check(say('notices_quiet_use'));
	await desk.services.notice(say('notice_failed_title', { device: 'forge' }));
});
