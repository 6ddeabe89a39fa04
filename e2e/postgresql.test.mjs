// @ts-check
// The same on PostgreSQL: a machine joins, a task runs, the page is live, a kill loses nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CUT_OFF, go, open, outputOf, runShell, shown, signIn } from './browser.mjs';
import { postgres } from './postgres.mjs';
import { stack } from './stack.mjs';
import { say } from './words.mjs';

test('the whole way on PostgreSQL', async (t) => {
	const databaseUrl = await postgres(t);
	const { server } = await stack(t, { device: 'bench', databaseUrl });
	assert.equal((await server.api('/api/v1/server')).database, 'postgresql');
	const page = await open(t, { expectErrors: CUT_OFF });
	await signIn(page, server);
	await go(page, 'nav_devices');
	await page.getByText('bench').first().waitFor();
	await runShell(page, 'echo from $((6 * 7))');
	await outputOf(page).getByText('from 42', { exact: true }).waitFor();
	await shown(page, say('task_state_succeeded')).waitFor();

	await server.stop('SIGKILL');
	await server.start();
	await runShell(page, 'echo again');
	await outputOf(page).getByText('again', { exact: true }).waitFor();
	assert.equal((await server.api('/api/v1/audit/verify')).intact, true);
});
