import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { BUILT, firstView, LIMIT } from '../scripts/first-view.mjs';

it('the first view needs at most 150 KB of JavaScript, compressed', () => {
	expect(existsSync(BUILT), 'the dashboard is built: npm run build').toBe(true);
	const files = firstView();
	expect(files.length).toBeGreaterThan(20);
	const sum = files.reduce((all, { bytes }) => all + bytes, 0);
	const largest = files.sort((a, b) => b.bytes - a.bytes).slice(0, 6);
	const words = largest.map(({ file, bytes }) => `${file} ${bytes}`).join('\n');
	expect(sum, `${files.length} files; the largest:\n${words}`).toBeLessThanOrEqual(LIMIT);
});
