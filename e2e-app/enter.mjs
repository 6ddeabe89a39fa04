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
	await window.press(say('app_add', {}, words));
	await window.fill(say('app_address', {}, words), server.publicUrl ?? server.url);
	await window.press(say('app_look', {}, words));
	await window.text(say('app_confirm', {}, words));
	await confirm(window, server, words, role);
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
