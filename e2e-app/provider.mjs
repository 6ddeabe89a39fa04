// @ts-check
// A provider that the app signs in to by a code: a real OAuth server, and a person who allows it there.
import { atEnd, Program } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';

/** @param {import('node:test').TestContext} t */
export async function oauthServer(t) {
	const program = new Program(process.execPath, ['e2e/oauth/server.mjs'], { input: null });
	atEnd(t, () => program.stop());
	const [, issuer] = await program.line(/^listening on (\S+)/);
	return {
		issuer,
		/** A person types the code in and allows. @param {string} code */
		async allow(code) {
			program.child.stdin.write(`code ${code}\n`);
			await program.line(/^decided/);
		}
	};
}

/**
 * From the page about sign-ins until the person has allowed it.
 * @param {import('./webdriver.mjs').Window} window @param {Awaited<ReturnType<typeof oauthServer>>} oauth
 * @param {() => Promise<unknown>} [seen] while the code is shown
 */
export async function signInToProvider(window, oauth, seen = async () => undefined) {
	await press(window, say('signin_add'));
	await window.fill(say('signin_name'), 'Gateway');
	await window.fill(say('signin_client'), 'foreman-app');
	await window.fill(say('signin_issuer'), oauth.issuer);
	await window.until(
		`const choice = [...document.querySelectorAll('[role=dialog] label')].find((it) => it.textContent.trim() === arguments[0]); choice?.click(); return !!choice;`,
		say('signin_flow_device')
	);
	await window.press(say('signin_save'));
	await press(window, say('signin_in', { name: 'Gateway' }));
	const code = await window.until(
		`return document.querySelector('p.code[aria-label="' + arguments[0] + '"]')?.textContent`,
		say('signin_code')
	);
	await seen();
	await oauth.allow(code);
}

/** Presses what may lie below the edge, where the window's foot would be over it. @param {import('./webdriver.mjs').Window} window @param {string} name */
export async function press(window, name) {
	await window.until(
		`const it = [...document.querySelectorAll('main button')].find((one) => one.textContent.trim().startsWith(arguments[0])); it?.scrollIntoView({ block: 'center' }); return !!it;`,
		name
	);
	await window.press(name);
}
