// @ts-check
// The pictures of the README, from the real programs: `node e2e/screenshots.mjs` after ./dev up has built them. Models
// are stubs. With names after it, such as `chat models`, only those pictures are taken.
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { DESKTOP, PHONE, launch, settled, signIn } from './browser.mjs';
import { Ollama } from './ollama.mjs';
import { busy } from './pages.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { say } from './words.mjs';

const FOLDER = process.env.PICTURES ?? 'docs/screenshots';
const LARGEST = 120 * 1024;
const ONLY = process.argv.slice(2);
/** @param {string} title */
const wanted = (title) => ONLY.length === 0 || ONLY.includes(title);

const ANSWER = `The arm drifts because each step adds a little error:

$$\\theta_{t+1} = \\theta_t + \\dot\\theta_t\\,\\Delta t + \\epsilon_t$$

Without a measurement the errors $\\epsilon_t$ add up. Correct it with the **encoder** at each step:

\`\`\`python
def step(angle: float, rate: float, measured: float, dt: float) -> float:
    predicted = angle + rate * dt
    return predicted + GAIN * (measured - predicted)
\`\`\`

- \`GAIN\` near 1 trusts the encoder, near 0 the motor.
- Begin with 0.2 and raise it until the drift is gone.
`;

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
	const ollama = await new Ollama(['llama3.2:latest', 'qwen3-coder:30b', 'nomic-embed-text:latest']).start(
		run
	);
	process.env.OLLAMA_HOST = ollama.host;
	const { server, agent } = await stack(run, { device: 'workbench' });
	const device = /** @type {string} */ (agent.id);
	await models(server);
	const tasks = await busy(server, device);
	await server.api('/api/v1/devices', { json: { name: 'Jetson on the arm', type: 'inference' } });
	// Enough measurements for a curve.
	const enough = ONLY.length > 0 ? 2 : 40;
	await eventually(
		async () => (await server.api(`/api/v1/devices/${device}/samples?points=100`)).items.length >= enough,
		90_000
	);

	const browser = await launch();
	endings.unshift(() => browser.close());
	const first = await browser.newPage();
	await signIn(first, server);
	const chat = await conversation(first, ollama);
	await first.close();
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
			await shoot(page, server, { name: `${size}-${colorScheme}`, device, chat, ...tasks });
			await context.close();
		}
	}
}

/** A provider elsewhere beside the device's own, and what both were used for. @param {import('./stack.mjs').Server} server */
async function models(server) {
	await server.api('/api/v1/vault', { json: { password: 'only for these pictures' } });
	const base_url = await vendor(run, 'claude-opus-4-1', 'claude-sonnet-4-5', 'claude-haiku-4-5');
	const key = 'sk-ant-for-these-pictures-4f2c';
	await server.api('/api/v1/providers', { json: { kind: 'anthropic', name: 'anthropic', base_url, key } });
	await eventually(async () => (await server.api('/api/v1/models')).items.length >= 6);
	for (const [name, model] of [
		['opencode', 'anthropic/claude-sonnet-4-5'],
		['opencode', 'workbench/qwen3-coder:30b'],
		['nightly', 'workbench/llama3.2:latest']
	]) {
		const { secret } = await server.api('/api/v1/model-keys', { json: { name } });
		await fetch(`${server.url}/v1/chat/completions`, {
			method: 'POST',
			headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
			body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Why does the arm drift?' }] })
		});
	}
}

/** Chats as somebody has them; gives the one to show. @param {import('playwright-core').Page} page @param {Ollama} ollama */
async function conversation(page, ollama) {
	await ollama.says(ANSWER);
	const questions = [
		'Name the parts of a torque wrench',
		'Plan the week’s training runs',
		'Why does the arm drift?'
	];
	let shown = '';
	for (const text of questions) {
		shown = await page.evaluate(async (text) => {
			const call = async (/** @type {string} */ path, /** @type {object} */ body) =>
				(
					await fetch(path, {
						method: 'POST',
						headers: { 'content-type': 'application/json' },
						body: JSON.stringify(body)
					})
				).json();
			const { id } = await call('/api/v1/chats', { model: 'auto' });
			const { answer } = await call(`/api/v1/chats/${id}/ask`, { id: crypto.randomUUID(), text });
			await (await fetch(`/api/v1/chats/${id}/messages/${answer.id}/stream`)).text();
			return id;
		}, text);
	}
	return shown;
}

/**
 * @param {import('playwright-core').Page} page @param {import('./stack.mjs').Server} server
 * @param {{ name: string, device: string, chat: string, running: string, terminal: string }} what
 */
async function shoot(page, server, { name, device, chat, running, terminal }) {
	const pages = {
		home: '/',
		devices: '/devices',
		task: `/tasks/${running}`,
		activity: '/activity',
		chat: `/chat/${chat}`,
		models: '/models',
		routing: '/models/routing',
		device: `/devices/${device}`,
		terminal: `/devices/${device}/terminal/${terminal}`,
		files: `/devices/${device}/files?path=/usr`,
		logs: `/devices/${device}/logs?source=task:${running}`
	};
	for (const [title, path] of Object.entries(pages)) {
		if (!wanted(title)) continue;
		await page.goto(server.url + path);
		await settled(page);
		// Formulas and colours are drawn a moment after the words.
		if (title === 'chat') {
			await page.locator('.katex').nth(1).waitFor();
			await page.locator('pre span[style*="color"]').first().waitFor();
		}
		await keep(page, `${title}-${name}`);
	}
	if (!wanted('add-device')) return;
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
