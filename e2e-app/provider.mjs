// @ts-check
// A provider that the app signs in to, by a code or by the browser: a real OAuth server, and a person who allows it there.
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
		},
		/** A person opens the page in a browser and allows; the link that it leads back by. @param {string} page */
		async open(page) {
			program.child.stdin.write(`open ${page}\n`);
			const [, link] = await program.line(/^returned (.*)/);
			return link;
		}
	};
}

/**
 * Adds the provider on the page about sign-ins.
 * @param {import('./webdriver.mjs').Window} window @param {Awaited<ReturnType<typeof oauthServer>>} oauth
 * @param {'signin_flow_device' | 'signin_flow_browser'} flow @param {string} [api] where a server can use the token
 */
export async function addProvider(window, oauth, flow, api) {
	await press(window, say('signin_add'));
	await window.fill(say('signin_name'), 'Gateway');
	await window.fill(say('signin_client'), 'foreman-app');
	await window.fill(say('signin_issuer'), oauth.issuer);
	await choose(window, '[role=dialog]', say(flow));
	if (api) await window.fill(say('signin_api'), api);
	await window.press(say('signin_save'));
}

/** Takes one of several, by its name. @param {import('./webdriver.mjs').Window} window @param {string} within @param {string} name */
export const choose = (window, within, name) =>
	window.until(
		`const choice = [...document.querySelectorAll(arguments[0] + ' label')].find((it) => it.textContent.trim() === arguments[1]);
		choice?.click();
		return !!choice;`,
		within,
		name
	);

/**
 * From the page about sign-ins until the person has allowed it, by a code.
 * @param {import('./webdriver.mjs').Window} window @param {Awaited<ReturnType<typeof oauthServer>>} oauth
 * @param {() => Promise<unknown>} [seen] while the code is shown
 */
export async function signInToProvider(window, oauth, seen = async () => undefined) {
	await addProvider(window, oauth, 'signin_flow_device');
	await press(window, say('signin_in', { name: 'Gateway' }));
	const code = await window.until(
		`const label = [...document.querySelectorAll('.copy-field > .label')].find((it) => it.textContent === arguments[0]);
		return label?.parentElement.querySelector('[role=textbox]').textContent.trim();`,
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
