// @ts-check
// The passphrase of the sealed file that stands in for a keychain, as a person types it.
import { say } from '../e2e/words.mjs';

/** Agrees to the file. @param {import('./webdriver.mjs').Window} window @param {string} passphrase */
export async function makeFile(window, passphrase) {
	await window.fill(say('signin_file_passphrase'), passphrase);
	await window.fill(say('signin_file_repeat'), passphrase);
	await window.press(say('signin_file_agree'));
}

/** Opens it again. @param {import('./webdriver.mjs').Window} window @param {string} passphrase */
export async function openFile(window, passphrase) {
	await window.fill(say('signin_file_passphrase'), passphrase);
	await window.press(say('signin_file_unlock'));
}
