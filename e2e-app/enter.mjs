// @ts-check
// Signing the app in to a server, as a person does who has a browser beside it.
import assert from 'node:assert/strict';
import { say } from '../e2e/words.mjs';

/**
 * Adds a server by its address and waits until its pages are there.
 * @param {import('./webdriver.mjs').Window} window @param {import('../e2e/stack.mjs').Server} server
 * @param {Record<string, any>} [words] of another language @param {string} [role] that is approved
 */
export async function enter(window, server, words, role) {
	await lookAt(window, server, words);
	await confirm(window, server, words, role);
}

/**
 * Names a server by its address, up to the question whether it is the right one.
 * @param {import('./webdriver.mjs').Window} window @param {import('../e2e/stack.mjs').Server} server
 * @param {Record<string, any>} [words] of another language
 */
export async function lookAt(window, server, words) {
	await window.press(say('app_add', {}, words));
	await window.fill(say('app_address', {}, words), server.publicUrl ?? server.url);
	await window.press(say('app_look', {}, words));
	await window.text(say('app_confirm', {}, words));
}

/**
 * From the confirmation on.
 * @param {import('./webdriver.mjs').Window} window @param {import('../e2e/stack.mjs').Server} server
 * @param {Record<string, any>} [words] of another language @param {string} [role] that is approved
 */
export async function confirm(window, server, words, role) {
	await window.press(say('app_sign_in_code', {}, words));
	await approve(server, await shownCode(window, words), role);
	await window.until("return location.pathname === '/' && !!document.querySelector('main')");
}

/** Sets this computer up as server and device. @param {import('./webdriver.mjs').Window} window */
export async function setUpHere(window) {
	await window.press(say('app_here'));
	await window.text(say('app_here_allow').slice(0, 40));
	await window.press(say('app_here'));
	await window.text(say('devices_title'));
}

/** The devices as they are now. @param {import('./webdriver.mjs').Window} window */
export async function seeDevices(window, name = 'forge') {
	await window.go('/devices');
	await window.text(name);
	await window.text(say('link_live'));
}

/** Removes the shown server from the app, the only one. @param {import('./webdriver.mjs').Window} window */
export async function leave(window) {
	await window.go('/settings/servers');
	await window.press(say('app_leave'));
	await window.pressInDialog(say('app_leave'));
	await window.text(say('app_welcome'));
}

/** @param {import('./webdriver.mjs').Window} window @param {Record<string, any>} [words] @returns {Promise<string>} */
export const shownCode = (window, words) =>
	window.until(
		`return document.querySelector('[aria-label="' + arguments[0] + '"]')?.textContent`,
		say('app_code_label', {}, words)
	);

/** Approves a program as the owner does in a browser. @param {import('../e2e/stack.mjs').Server} server @param {string} code */
export async function approve(server, code, role = 'operator') {
	const ticket = (await server.loginLink()).split('#ticket=')[1];
	const post = (/** @type {string} */ path, /** @type {object} */ body, cookie = '') =>
		fetch(server.url + path, {
			method: 'POST',
			headers: { 'content-type': 'application/json', origin: server.url, cookie },
			body: JSON.stringify(body)
		});
	const signedIn = await post('/api/v1/session', { ticket });
	const [cookie] = signedIn.headers.getSetCookie()[0].split(';');
	const approved = await post(`/api/v1/auth/device/${code}/approve`, { role }, cookie);
	assert.equal(approved.status, 204);
}
