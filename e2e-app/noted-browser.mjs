// @ts-check
// A desktop whose browser opens nothing: what the app hands it is noted, for the test to go there itself.
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atEnd, scratch } from '../e2e/stack.mjs';
import { Desk } from './desk.mjs';

/** @param {import('node:test').TestContext} t */
export async function deskWithBrowser(t) {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const [browser, note] = [join(folder.path, 'xdg-open'), join(folder.path, 'opened')];
	await writeFile(browser, `#!/bin/sh\nprintf %s "$1" > '${note}.new' && mv '${note}.new' '${note}'\n`);
	await chmod(browser, 0o755);
	const desk = await Desk.of(t, { env: { PATH: `${folder.path}:${process.env.PATH}` } });
	return {
		desk,
		/** What the app opened since the last time. @param {import('./webdriver.mjs').Window} window */
		async opened(window) {
			const page = await window.wait(() => readFile(note, 'utf8').catch(() => ''), 'the browser is opened');
			await rm(note);
			return page;
		}
	};
}
