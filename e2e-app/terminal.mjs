// @ts-check
// A terminal in the app's window, as journeys use it. What it shows may be drawn and not be text, so what a line does
// is seen elsewhere.
import { eventually } from '../e2e/stack.mjs';

/**
 * Types a line into the terminal that is shown. Until its program is there, what is typed is nobody's: then it is typed
 * again.
 * @param {import('./webdriver.mjs').Window} window @param {string} line
 * @param {() => Promise<boolean>} done that it was heard
 */
export async function typed(window, line, done) {
	await eventually(async () => {
		await window.until(
			`const input = document.querySelector('.xterm-helper-textarea'); input?.focus(); return !!input && input === document.activeElement;`
		);
		await window.keys(`${line}\uE007`);
		return eventually(done, 2_000).catch(() => false);
	});
}
