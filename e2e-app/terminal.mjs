// @ts-check
// A terminal in the app's window, as journeys use it. What it shows may be drawn and not be text, so what a line does
// is seen elsewhere.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';

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

/**
 * Opens a shell on the page of terminals and lets it calculate. Gives the file of `folder` that has the answer.
 * @param {import('./webdriver.mjs').Window} window @param {string} folder
 */
export async function shellAnswers(window, folder) {
	await window.press(say('terminal_open_shell'));
	const answer = join(folder, 'answer');
	const answered = async () => (await readFile(answer, 'utf8').catch(() => '')) === '42\n';
	await typed(window, `echo $((6*7)) | tee ${answer}`, answered);
	return answer;
}
