// @ts-check
// What has to arrive before the first view is there: on a phone far from the server that is most of the wait.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** As much JavaScript as may be, compressed, in bytes. */
export const LIMIT = 150 * 1024;

export const BUILT = 'build/_app/immutable';
const NODES = '.svelte-kit/generated/client-optimized/nodes';

/** The file that a part of the pages became: Kit numbers them, and each names its component. @param {string} component */
function built(component) {
	const node = readdirSync(NODES).find((name) =>
		readFileSync(join(NODES, name), 'utf8').includes(`/src/routes/${component}"`)
	);
	const file = readdirSync(`${BUILT}/nodes`).find((name) => name.startsWith(`${node?.replace('.js', '')}.`));
	if (!file) throw new Error(`no part of the pages for ${component}`);
	return `${BUILT}/nodes/${file}`;
}

/** What a file cannot run without. @param {string} file */
function imports(file) {
	const found = readFileSync(file, 'utf8').matchAll(/(?:\bfrom|\bimport)\s*["'](\.\.?\/[^"']+\.js)["']/g);
	return [...found].map(([, path]) => join(dirname(file), String(path)));
}

/** The scripts of the first view, with what each weighs compressed, in bytes. */
export function firstView() {
	const page = readFileSync('build/index.html', 'utf8');
	const wanted = [...page.matchAll(/["'](\/[^"']+\.js)["']/g)].map(([, path]) => `build${path}`);
	if (wanted.length <= 5) throw new Error('the page names too few scripts');
	for (const component of ['+layout.svelte', '(app)/+layout.svelte', '(app)/+page.svelte'])
		wanted.push(built(component));
	/** @type {Set<string>} */
	const files = new Set();
	for (let file = wanted.pop(); file; file = wanted.pop()) {
		if (files.has(file)) continue;
		files.add(file);
		wanted.push(...imports(file));
	}
	return [...files].map((file) => ({ file, bytes: gzipSync(readFileSync(file)).length }));
}
