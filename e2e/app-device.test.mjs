// @ts-check
// A device in the app: why it is not reached directly, and whom one that is added there trusts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure, openApp } from './app.mjs';
import { stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

/** Kit looks for a newer build where a page could not be opened; the app's policy has no place for that. */
const REFUSED = /status of|version\.json/;

test('why a device is not reached is said under its way, and one with another identity is a warning', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { page, app } = await openApp(t, server, { locale: 'de-DE', expectErrors: REFUSED });
	const german = catalogue('de');
	const words = (/** @type {string} */ key, values = {}) => say(key, values, german);
	const why = '192.168.1.20:41641: connection refused';
	app.path = { ...app.path, kind: null, end_to_end: false, latency_ms: null, level: null, trouble: why };
	await app.go(`/devices/${agent.id}`);
	const access = page.getByRole('region', { name: words('access_title') });
	await access.getByText(words('app_path_searching'), { exact: true }).waitFor();
	await access.getByText(words('app_path_trouble', { why }), { exact: true }).waitFor();

	app.instead.watch_path = () => {
		throw failure('not_believed');
	};
	await app.go('/devices');
	await app.go(`/devices/${agent.id}`);
	const warning = access.getByRole('alert');
	await warning.getByText(words('problem_not_believed')).waitFor();
	await warning.getByText(words('problem_not_believed_todo')).waitFor();
	await access.getByText(words('app_path_none'), { exact: true }).waitFor();
	assert.equal(await access.getByText(words('app_path_searching'), { exact: true }).count(), 0);
});

test('a device that is added in the app trusts the app’s key from the start', async (t) => {
	const { server } = await stack(t, { device: 'other' });
	const { page, app } = await openApp(t, server, { expectErrors: REFUSED });
	await app.go('/devices');
	await page
		.getByRole('link', { name: say('add_device'), exact: true })
		.first()
		.tap();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel(say('device_name'), { exact: true }).fill('bench');
	await dialog.getByRole('button', { name: say('add_device_make'), exact: true }).tap();
	await dialog.getByText(/FOREMAN_OWNER=ed25519:stand-in FOREMAN_TOKEN=/).waitFor();
	await dialog.getByText(say('add_device_installed'), { exact: true }).tap();
	await dialog.getByText(/foreman-agent connect .*--owner ed25519:stand-in/).waitFor();
});
