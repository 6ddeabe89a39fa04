// @ts-check
// Where an account is told, in the app's own window: the app itself and ntfy topics; nothing that only a browser can.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ntfy } from '../e2e/ntfy.mjs';
import { stack } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

/** The names of the buttons that can be seen and not pressed. @param {import('./webdriver.mjs').Window} window @returns {Promise<string[]>} */
const dead = (window) =>
	window.run(
		`return [...document.querySelectorAll('main button')].filter((it) => it.checkVisibility() && it.disabled).map((it) => it.textContent.trim());`
	);

/** Brings a button of the page to where nothing lies over it, and presses it. @param {import('./webdriver.mjs').Window} window @param {string} name */
async function press(window, name) {
	await window.until(
		`const it = [...document.querySelectorAll('main button')].find((one) => (one.getAttribute('aria-label') ?? one.textContent).trim() === arguments[0]); it?.scrollIntoView({ block: 'center' }); return !!it;`,
		name
	);
	await window.press(name);
}

test('the app offers what it can: a ntfy topic is added, refused once, tried, changed and removed in its window', async (t) => {
	const { told, topic } = await ntfy(t, [{ status: 403, error: 'forbidden' }]);
	const { server } = await stack(t, { env: { FOREMAN_PUSH_PRIVATE: 'true' } });
	const desk = await Desk.of(t, { services: true });
	const window = await desk.open();
	await enter(window, server);
	await window.go('/settings/notifications');
	await window.text(say('push_none_lead_app'));
	await desk.keep('receivers-none');
	const page = await window.run('return document.body.innerText');
	// The window is told by the program; a browser's own notifications are none of its offers.
	for (const key of ['push_browser', 'push_browser_start', 'push_missing', 'push_insecure'])
		assert.ok(!page.includes(say(key)), `${key} in ${page}`);
	await window.wait(async () => (await dead(window)).length === 0, 'no button that cannot be pressed');

	await press(window, say('push_ntfy_add'));
	await window.fill(say('push_ntfy_address'), topic);
	await window.fill(say('push_ntfy_token'), 'tk_secret');
	await desk.keep('receivers-new');
	await window.press(say('push_add'));
	await window.text(say('push_nothing_yet'));
	await press(window, say('push_test_named', { name: 'ntfy' }));
	await window.text(say('push_why_not_allowed_ntfy'));
	await window.text('403 · forbidden');
	await desk.keep('receivers-refused');
	assert.deepEqual([told[0].topic, told[0].authorization], ['my-topic', 'Bearer tk_secret']);
	await window.wait(async () => (await dead(window)).length === 0, 'no button that cannot be pressed');

	await press(window, say('push_edit_named', { name: 'ntfy' }));
	await window.check(say('push_on'));
	await window.press(say('push_save'));
	await window.text(say('push_paused'));
	// A test is sent all the same, once the server takes another one.
	await window.wait(async () => {
		await press(window, say('push_test_named', { name: 'ntfy' }));
		const ended = [say('push_tested'), say('push_test_failed')];
		const text = 'const text = document.body.innerText;';
		await window.until(`${text} return [...arguments].some((one) => text.includes(one))`, ...ended);
		return window.run(`${text} return text.includes(arguments[0])`, ended[0]);
	}, 'a second test');
	assert.equal(told[1].topic, 'my-topic');
	assert.ok(!(await window.run('return document.documentElement.outerHTML')).includes('tk_secret'));
	await desk.keep('receivers-told');

	await press(window, say('push_remove_named', { name: 'ntfy' }));
	await window.text(say('push_remove_text'));
	await window.press(say('push_remove'));
	await window.text(say('push_none'));
});
