// @ts-check
// What a mistake in a page could reach: the content policy and the window let nothing run or load that is not the app's.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { atEnd, stack } from '../e2e/stack.mjs';
import { Desk } from './desk.mjs';
import { enter } from './enter.mjs';

/** Somebody else's address, and what was asked of it. @param {import('node:test').TestContext} t */
async function elsewhere(t) {
	/** @type {string[]} */
	const asked = [];
	const server = createServer((request, answer) => {
		asked.push(request.url ?? '');
		answer.setHeader('access-control-allow-origin', '*').end('window.foremanForeign = true');
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	return {
		url: `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`,
		asked
	};
}

test('a script that is not the app’s does not run, nothing is loaded from elsewhere, and the window goes to no other page', async (t) => {
	const { server } = await stack(t, { device: 'forge' });
	const { url, asked } = await elsewhere(t);
	const desk = await Desk.of(t);
	const window = await desk.open();
	await enter(window, server);
	await window.text('forge');

	const names = await window.run(
		`
		window.foremanRefused = [];
		addEventListener('securitypolicyviolation', (event) => window.foremanRefused.push(event.effectiveDirective));
		const names = [() => eval('window.foremanForeign = 1'), () => new Function('window.foremanForeign = 1')()].map((run) => {
			try { return run(), 'ran'; } catch (thrown) { return thrown.name; }
		});
		const script = document.createElement('script');
		script.textContent = 'window.foremanForeign = 1';
		const foreign = document.createElement('script');
		foreign.src = arguments[0] + '/script.js';
		document.body.append(script, foreign);
		document.body.insertAdjacentHTML('beforeend',
			'<button id="foreman-planted" onclick="window.foremanForeign = 1"></button><iframe src="' + arguments[0] + '/frame"></iframe>' +
			'<img src="' + arguments[0] + '/image.png"><form action="' + arguments[0] + '/form" method="post"></form>');
		document.getElementById('foreman-planted').click();
		document.querySelector('body > form').submit();
		fetch(arguments[0] + '/fetch').catch(() => undefined);
		return names;`,
		url
	);
	assert.deepEqual(names, ['EvalError', 'EvalError']);
	const refused = ['script-src', 'script-src-attr', 'frame-src', 'img-src', 'form-action', 'connect-src'];
	// Browsers differ in how they name the part about elements.
	await window.until(
		`return arguments[0].every((name) => window.foremanRefused.some((one) => one.replace('-elem', '') === name))`,
		refused
	);
	assert.equal(await window.run('return window.foremanForeign'), null);

	for (const way of [
		'location.assign(arguments[0])',
		`Object.assign(document.createElement('a'), { href: arguments[0] }).click()`,
		'window.open(arguments[0])',
		`location.assign('data:text/html,elsewhere')`
	]) {
		await window.run(way, `${url}/page`).catch(() => undefined);
		// What was asked of the program afterwards is answered afterwards.
		await window.until(
			`window.__TAURI_INTERNALS__.invoke('app_facts').then(() => (window.foremanAnswered = arguments[0]));
			return window.foremanAnswered === arguments[0]`,
			way
		);
		assert.equal(await window.run('return location.origin'), 'tauri://localhost', way);
	}
	await window.go('/devices');
	await window.text('forge');
	assert.deepEqual(asked, []);
});
