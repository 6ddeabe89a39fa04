import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';

// What has to arrive before the first view is there: on a phone far from the server that is most of the wait.
const LIMIT = 150 * 1024;

const BUILT = 'build/_app/immutable';
const NODES = '.svelte-kit/generated/client-optimized/nodes';

/** The file that a part of the pages became: Kit numbers them, and each names its component. */
function built(component: string): string {
	const node = readdirSync(NODES).find((name) =>
		readFileSync(join(NODES, name), 'utf8').includes(`/src/routes/${component}"`)
	);
	const file = readdirSync(`${BUILT}/nodes`).find((name) => name.startsWith(`${node?.replace('.js', '')}.`));
	if (!file) throw new Error(`no part of the pages for ${component}`);
	return `${BUILT}/nodes/${file}`;
}

/** What a file cannot run without. */
function imports(file: string): string[] {
	const found = readFileSync(file, 'utf8').matchAll(/(?:\bfrom|\bimport)\s*["'](\.\.?\/[^"']+\.js)["']/g);
	return [...found].map(([, path]) => join(dirname(file), String(path)));
}

it('the first view needs at most 150 KB of JavaScript, compressed', () => {
	expect(existsSync(BUILT), 'the dashboard is built: npm run build').toBe(true);
	const page = readFileSync('build/index.html', 'utf8');
	const wanted = [...page.matchAll(/["'](\/[^"']+\.js)["']/g)].map(([, path]) => `build${path}`);
	expect(wanted.length).toBeGreaterThan(5);
	for (const component of ['+layout.svelte', '(app)/+layout.svelte', '(app)/+page.svelte'])
		wanted.push(built(component));
	const files = new Set<string>();
	for (let file = wanted.pop(); file; file = wanted.pop()) {
		if (files.has(file)) continue;
		files.add(file);
		wanted.push(...imports(file));
	}
	expect(files.size).toBeGreaterThan(20);
	const sizes = [...files].map((file) => ({ file, bytes: gzipSync(readFileSync(file)).length }));
	const sum = sizes.reduce((all, { bytes }) => all + bytes, 0);
	const largest = sizes.sort((a, b) => b.bytes - a.bytes).slice(0, 6);
	const words = largest.map(({ file, bytes }) => `${file} ${bytes}`).join('\n');
	expect(sum, `${files.size} files; the largest:\n${words}`).toBeLessThanOrEqual(LIMIT);
});
