// @ts-check
// The pictures of the README, from the real programs: `node e2e/screenshots.mjs` after ./dev up has built them.
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { DESKTOP, PHONE, launch, settled, signIn } from './browser.mjs';
import { busy } from './pages.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

const FOLDER = process.env.PICTURES ?? 'docs/screenshots';
const LARGEST = 120 * 1024;

/** @type {(() => any)[]} */
const endings = [];
const run = /** @type {any} */ ({
	name: 'screenshots',
	after: (/** @type {() => any} */ end) => endings.unshift(end)
});

try {
	await takeAll();
} finally {
	for (const end of endings) await end();
}

async function takeAll() {
	mkdirSync(FOLDER, { recursive: true });
	const { server, agent } = await stack(run, { device: 'workbench' });
	const device = /** @type {string} */ (agent.id);
	const tasks = await busy(server, device);
	await server.api('/api/v1/devices', { json: { name: 'Jetson on the arm', type: 'inference' } });
	// Enough measurements for a curve.
	await eventually(
		async () => (await server.api(`/api/v1/devices/${device}/samples?points=100`)).items.length >= 40,
		90_000
	);

	const browser = await launch();
	endings.unshift(() => browser.close());
	for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
		for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
			const context = await browser.newContext({
				...shape,
				colorScheme,
				locale: 'en-GB',
				reducedMotion: 'reduce'
			});
			const page = await context.newPage();
			await signIn(page, server);
			await shoot(page, server, { name: `${size}-${colorScheme}`, device, ...tasks });
			await context.close();
		}
	}
}

/**
 * @param {import('playwright-core').Page} page @param {import('./stack.mjs').Server} server
 * @param {{ name: string, device: string, running: string, terminal: string }} what
 */
async function shoot(page, server, { name, device, running, terminal }) {
	const pages = {
		home: '/',
		devices: '/devices',
		task: `/tasks/${running}`,
		activity: '/activity',
		models: '/models',
		routing: '/models/routing',
		usage: '/models/usage',
		vault: '/settings/vault',
		device: `/devices/${device}`,
		terminal: `/devices/${device}/terminal/${terminal}`,
		files: `/devices/${device}/files?path=/usr`,
		logs: `/devices/${device}/logs?source=task:${running}`
	};
	for (const [title, path] of Object.entries(pages)) {
		await page.goto(server.url + path);
		await settled(page);
		await keep(page, `${title}-${name}`);
	}
	await page.goto(server.url + '/devices?add');
	await settled(page);
	const form = page.getByRole('dialog', { name: say('add_device_title') });
	await form.getByLabel(say('device_name')).fill('DGX Spark');
	await form.getByRole('button', { name: say('add_device_make') }).click();
	const dialog = page.getByRole('dialog', { name: say('add_device_command_title', { name: 'DGX Spark' }) });
	await dialog.getByRole('list', { name: say('add_device_progress') }).waitFor();
	await settled(page);
	await keep(page, `add-device-${name}`);
	const { items } = await server.api('/api/v1/devices?q=DGX');
	for (const { id } of items) await server.api(`/api/v1/devices/${id}`, { method: 'DELETE' });
}

/** As WebP, the best that stays small. @param {import('playwright-core').Page} page @param {string} name */
async function keep(page, name) {
	const devtools = await page.context().newCDPSession(page);
	const path = `${FOLDER}/${name}.webp`;
	for (const quality of [90, 80, 65, 50]) {
		const { data } = await devtools.send('Page.captureScreenshot', { format: 'webp', quality });
		writeFileSync(path, Buffer.from(data, 'base64'));
		if (statSync(path).size < LARGEST) break;
	}
	console.log(`${path} ${Math.round(statSync(path).size / 1024)} KB`);
	await devtools.detach();
}
