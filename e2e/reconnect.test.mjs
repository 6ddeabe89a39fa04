// @ts-check
// A dropped stream shows at once and heals by itself, without a reload and without losing a line.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CUT_OFF, copiedOutput, open, outputOf, runShell, shown, signIn } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
import { wire } from './wire.mjs';
import { say } from './words.mjs';

/** Prints numbers until it is told to end. @param {string} end */
const counting = (end) =>
	`n=0; while [ ! -e ${end} ]; do n=$((n+1)); echo "line $n"; sleep 0.02; done; echo last`;

/** Every line exactly once and in order. @param {string} text */
function assertWhole(text) {
	const lines = text.trimEnd().split('\n');
	assert.equal(lines.pop(), 'last');
	lines.forEach((line, index) => assert.equal(line, `line ${index + 1}`));
	return lines.length;
}

/** Marks the page, so that a reload would show. @param {import('playwright-core').Page} page */
const mark = (page) => page.evaluate(() => Object.assign(globalThis, { unreloaded: true }));
/** @param {import('playwright-core').Page} page */
const unreloaded = (page) => page.evaluate(() => /** @type {any} */ (globalThis).unreloaded === true);

/** Past the twentieth line. Only what is in view is in the page, so a certain one may have come and gone.
 * @param {import('playwright-core').Page} page */
const someLines = (page) =>
	outputOf(page)
		.getByText(/^line ([2-9]\d|\d{3,})$/)
		.first()
		.waitFor();

/** The link's state in words. @param {import('playwright-core').Page} page */
const reconnecting = (page) =>
	page
		.getByText(/^reconnecting since/)
		.locator('visible=true')
		.first();

test('a cut wire shows at once; mended, nothing is missing', async (t) => {
	const cable = await wire(t);
	const { server, folder } = await stack(t, { device: 'bench' });
	cable.leadTo(server.url);
	const page = await open(t, { expectErrors: CUT_OFF });
	await page.goto(await server.loginLink(cable.url));
	await page.getByRole('navigation', { name: say('nav_main') }).waitFor();
	await mark(page);

	const end = join(folder, 'end');
	await runShell(page, counting(end));
	await someLines(page);
	const before = Date.now();
	cable.cut();
	await reconnecting(page).waitFor();
	assert.ok(Date.now() - before < 10_000, 'it shows at once');
	await page.getByText(say('output_reconnecting')).first().waitFor();

	// Meanwhile the task goes on and ends.
	const { items } = await server.api('/api/v1/tasks');
	const output = async () => server.api(`/api/v1/tasks/${items[0].id}/output`);
	const seen = (await output()).length;
	await eventually(async () => (await output()).length >= seen + 500);
	writeFileSync(end, '');

	cable.mend();
	await shown(page, say('task_state_succeeded')).waitFor();
	await reconnecting(page).waitFor({ state: 'hidden' });
	await outputOf(page).getByText('last', { exact: true }).waitFor();
	assert.ok(assertWhole(await copiedOutput(page)) > 20);
	assert.ok(await unreloaded(page), 'the page was not reloaded');
});

test('a killed server comes back, and the page and the agent go on', async (t) => {
	const { server, folder } = await stack(t, { device: 'bench' });
	const page = await open(t, { expectErrors: CUT_OFF });
	await signIn(page, server);
	await mark(page);
	const end = join(folder, 'end');
	await runShell(page, counting(end));
	await someLines(page);

	await server.stop('SIGKILL');
	await reconnecting(page).waitFor();
	await server.start();
	await reconnecting(page).waitFor({ state: 'hidden' });
	writeFileSync(end, '');
	await shown(page, say('task_state_succeeded')).waitFor();
	await outputOf(page).getByText('last', { exact: true }).waitFor();
	assertWhole(await copiedOutput(page));
	assert.ok(await unreloaded(page), 'the page was not reloaded');
});
