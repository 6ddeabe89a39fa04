// @ts-check
// What a terminal in the dashboard can besides typing: copy and paste, links, search, both themes, the keys that a
// phone lacks, recording on the device, and drawing with and without a GPU.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PHONE, hasKeys, open, signIn } from './browser.mjs';
import { eventually, Program, PROGRAMS, stack } from './stack.mjs';
import { keysGoTo, openTerminal, says, screen, type } from './terminals.mjs';
import { catalogue, say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

/** Chooses from the menu of the only pane. @param {Page} page @param {string} key */
async function choose(page, key) {
	const menu = page.getByRole('button', { name: /^Actions for terminal/ });
	const entry = page.getByRole('menuitem', { name: say(key), exact: true });
	// What it offers changes with the device's rules, of which the page hears while it is open.
	await eventually(async () => {
		if ((await menu.getAttribute('aria-expanded')) !== 'true') await menu.click();
		return entry.click({ timeout: 2_000 }).then(
			() => true,
			() => false
		);
	});
}

/** Sends what was pasted, once it is there and the terminal has the keys. @param {Page} page @param {string} pasted */
async function enter(page, pasted) {
	await says(page, pasted);
	await keysGoTo(page);
	await page.keyboard.press('Enter');
}

/** A row of the screen that is exactly this. @param {Page} page @param {string} words */
const row = (page, words) => screen(page).getByText(words, { exact: true }).last();

/** Presses a link of the screen. @param {Page} page @param {import('playwright-core').Locator} link */
async function followLink(page, link) {
	// A line that is drawn anew under the pointer is a link again when the pointer moves.
	let x = 20;
	await eventually(async () => {
		x = x === 20 ? 28 : 20;
		await link.hover({ position: { x, y: 8 }, force: true });
		return page
			.locator('.xterm-cursor-pointer')
			.first()
			.waitFor({ timeout: 1_000 })
			.then(
				() => true,
				() => false
			);
	});
	await link.click({ position: { x, y: 8 }, force: true });
}

test('what a terminal prints is copied and found, its links open, and text is pasted', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);

	// A browser that does not hand over its clipboard has a field for it.
	await choose(page, 'terminal_paste');
	const field = page.getByRole('dialog', { name: say('terminal_paste'), exact: true });
	await field.getByRole('textbox', { name: say('terminal_paste_field') }).fill('echo by-field-$((40+2))');
	await field.getByRole('button', { name: say('terminal_paste'), exact: true }).click();
	await enter(page, 'echo by-field-$((40+2))');
	await says(page, 'by-field-42');

	await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
	const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
	await page.evaluate(() => navigator.clipboard.writeText('echo by-menu-$((40+2))'));
	await choose(page, 'terminal_paste');
	await enter(page, 'echo by-menu-$((40+2))');
	await says(page, 'by-menu-42');

	await choose(page, 'terminal_text');
	const whole = page.getByRole('dialog', { name: say('terminal_text'), exact: true });
	await whole.getByRole('button', { name: say('copy'), exact: true }).click();
	await eventually(async () => /by-field-42[^]*by-menu-42/.test(await clipboard()));
	await whole
		.getByRole('button', { name: say('close'), exact: true })
		.last()
		.click();

	// A double click takes a word, Ctrl+Shift+C copies it and does not reach the program.
	await row(page, 'by-menu-42').dblclick({ position: { x: 12, y: 8 }, force: true });
	await page.keyboard.press('Control+Shift+C');
	await eventually(async () => (await clipboard()) === 'by-menu-42');

	await page.context().route('https://docs.example/**', (route) => route.fulfill({ body: 'the manual' }));
	await type(page, 'clear; echo https://docs.example/a?b=1');
	const [opened] = await Promise.all([
		page.context().waitForEvent('page'),
		followLink(page, row(page, 'https://docs.example/a?b=1'))
	]);
	await opened.waitForURL('https://docs.example/a?b=1');
	assert.equal(await opened.evaluate(() => opener), null, 'what is opened does not reach back');
	await opened.close();

	// From its menu, and from the end upwards; closed, what is typed goes to the program again.
	await type(page, 'clear; for n in 1 2 3; do echo "nee"dle-$n; seq 40; done; echo en"d"');
	await says(page, 'end');
	await choose(page, 'terminal_find');
	const find = page.getByRole('search');
	const isAt = (/** @type {number} */ current) =>
		find.getByText(say('output_matches', { current, count: 3 }), { exact: true }).waitFor();
	await eventually(() => hasKeys(find.getByRole('searchbox')));
	await page.keyboard.type('needle');
	await isAt(3);
	await page.keyboard.press('Enter');
	await isAt(2);
	await says(page, 'needle-2');
	await find.getByRole('button', { name: say('output_previous') }).click();
	await isAt(1);
	await find.getByRole('button', { name: say('output_next') }).click();
	await isAt(2);
	await find.getByRole('searchbox').fill('not there');
	await find.getByText(say('output_no_match'), { exact: true }).waitFor();
	await page.keyboard.press('Escape');
	await find.waitFor({ state: 'detached' });
	await keysGoTo(page);
	await page.keyboard.type('echo back-$((40+2))\n');
	await says(page, 'back-42');
});

test('a link whose words name another address says where it leads before it opens', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t, { locale: 'de-DE' });
	await signIn(page, server);
	const german = catalogue('de');
	const words = (/** @type {string} */ key, values = {}) => say(key, values, german);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`, german);
	await page.context().route(/other\.example/, (route) => route.fulfill({ body: 'another page' }));
	page.on('dialog', (box) => assert.fail(`the browser asks: ${box.message()}`));
	const to = (/** @type {string} */ address, /** @type {string} */ name) =>
		`printf '\\033]8;;${address}\\033\\\\%s\\033]8;;\\033\\\\\\n' ${name}`;

	await type(page, `clear; ${to('https://docs.example@other.example/a?b=1', 'https://docs.example/')}`);
	const link = row(page, 'https://docs.example/');
	const dialog = page.getByRole('dialog', { name: words('terminal_link_title'), exact: true });
	await followLink(page, link);
	await dialog.getByText(words('terminal_link_lead', { host: 'other.example' }), { exact: true }).waitFor();
	await dialog.getByText('https://docs.example@other.example/a?b=1', { exact: true }).waitFor();
	await dialog.getByRole('button', { name: words('cancel'), exact: true }).click();
	await dialog.waitFor({ state: 'detached' });
	await keysGoTo(page);
	assert.equal(page.context().pages().length, 1, 'nothing opens before somebody said so');

	await followLink(page, link);
	const [opened] = await Promise.all([
		page.context().waitForEvent('page'),
		dialog.getByRole('button', { name: words('terminal_link_open'), exact: true }).click()
	]);
	await opened.waitForURL(/other\.example\/a\?b=1$/);
	assert.equal(await opened.evaluate(() => opener), null, 'what is opened does not reach back');
	await opened.close();
});

test('a menu that was opened before the terminal is drawn stays open', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t);
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	/** @type {() => void} */
	let arrive = () => {};
	const drawn = new Promise((next) => (arrive = () => next(undefined)));
	// It is drawn when its letters are there.
	await page.route(/jetbrains-mono.*\.woff2/i, async (route) => {
		await drawn;
		await route.continue();
	});
	await page.reload();
	await page.getByRole('button', { name: /^Actions for terminal/ }).click();
	const item = page.getByRole('menuitem', { name: say('terminal_find'), exact: true });
	await item.waitFor();
	assert.equal(await page.locator('.xterm').count(), 0, 'it is not drawn yet');
	arrive();
	await screen(page).waitFor();
	assert.ok(await item.isVisible());
	// And without one the terminal has the keys at once.
	await page.keyboard.press('Escape');
	await page.reload();
	await screen(page).waitFor();
	await keysGoTo(page);
	await page.keyboard.type('echo first-$((40+2))\n');
	await says(page, 'first-42');
});

test('a terminal follows the theme, and its colours stay readable in both', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t, { colorScheme: 'light' });
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	await type(page, "clear; printf '\\033[34mblue-%s\\033[0m plain\\n' word");
	const blue = screen(page).locator('.xterm-fg-4').getByText('blue-word').first();
	await blue.waitFor();
	/** Lightness of letters and of what is behind them, 0 to 1. The terminal may draw its lines anew at any moment. */
	const lightness = () =>
		screen(page).evaluate((drawn) => {
			const words = [...drawn.querySelectorAll('.xterm-fg-4')];
			const node = words.find((word) => word.textContent?.includes('blue-word'));
			if (!node) return null;
			const light = (/** @type {string} */ colour) => {
				const pen = /** @type {CanvasRenderingContext2D} */ (
					document.createElement('canvas').getContext('2d')
				);
				pen.fillStyle = colour;
				pen.fillRect(0, 0, 1, 1);
				const [red, green, blue] = [...pen.getImageData(0, 0, 1, 1).data].map((value) => {
					const part = value / 255;
					return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
				});
				return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
			};
			const behind = /** @type {Element} */ (drawn.closest('.pane'));
			return [light(getComputedStyle(node).color), light(getComputedStyle(behind).backgroundColor)];
		});
	const contrast = (/** @type {number[]} */ [a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
	const day = await eventually(lightness);
	assert.ok(day[0] < day[1] && contrast(day) >= 4.5, `light: ${day}`);
	await page.emulateMedia({ colorScheme: 'dark' });
	await eventually(async () => {
		const night = await lightness();
		return night && night[0] > night[1] && contrast(night) >= 4.5;
	});
});

test('Tab and Alt of a phone reach the program', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t, PHONE);
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	await type(page, 'clear; stty -icanon -echo; echo ready-$((1)); cat -vT');
	await says(page, 'ready-1');
	const keys = page.getByRole('toolbar', { name: say('terminal_keys') });
	const alt = keys.getByRole('button', { name: 'Alt', exact: true });
	await keys.getByRole('button', { name: 'Tab', exact: true }).tap();
	await says(page, '^I');
	const pressed = (/** @type {boolean} */ is) =>
		eventually(async () => (await alt.getAttribute('aria-pressed')) === String(is));
	await alt.tap();
	await pressed(true);
	await page.locator('.xterm-helper-textarea').focus();
	await keysGoTo(page);
	await page.keyboard.type('b');
	await says(page, '^I^[b');
	// It is held for one key.
	await pressed(false);
	await alt.tap();
	await pressed(true);
	await keys.getByRole('button', { name: say('terminal_key_left') }).tap();
	await says(page, '^I^[b^[[1;3D');
	await keys.getByRole('button', { name: '|', exact: true }).tap();
	await says(page, '^I^[b^[[1;3D|');
});

test('a terminal is recorded on the device from a press to another, where the device allows it', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const trust = async (/** @type {string} */ level) => {
		const args = ['trust', 'dashboard', level, '--state', agent.state];
		const told = new Program(join(PROGRAMS, 'foreman-agent'), args);
		assert.equal((await told.ended).code, 0, told.lines.join('\n'));
	};
	await trust('admin');
	const page = await open(t);
	await signIn(page, server);
	await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	await type(page, 'echo never-$((1))');
	await says(page, 'never-1');
	await choose(page, 'terminal_record');
	const mark = page.getByText(say('terminal_recording'), { exact: true });
	const path = String(await mark.getAttribute('title'));
	await type(page, 'echo kept-$((1))');
	await says(page, 'kept-1');
	await choose(page, 'terminal_record_stop');
	await mark.waitFor({ state: 'detached' });
	await type(page, 'echo late-$((1))');
	await says(page, 'late-1');
	const recorded = await eventually(async () => {
		const text = readFileSync(path, 'utf8');
		return text.includes('kept-1') && text;
	});
	assert.equal(/never-1|late-1/.test(recorded), false, recorded);

	await trust('operate');
	const menu = page.getByRole('button', { name: /^Actions for terminal/ });
	await eventually(async () => {
		await menu.click();
		const unavailable = await page.getByRole('menuitem', { name: say('terminal_needs_admin') }).count();
		await page.keyboard.press('Escape');
		return unavailable === 1;
	});

	// What was opened when less was allowed is in nobody's way: what is offered again can be done at once.
	await page.reload();
	await says(page, 'late-1');
	await trust('admin');
	await choose(page, 'terminal_record');
	await mark.waitFor();
});

test('a terminal is drawn by a real GPU, by the page without one, and when it is taken away', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const page = await open(t, { expectErrors: /status of 401|WebGL/ });
	await signIn(page, server);
	// The one of this browser is software: slower than the page itself.
	const address = await openTerminal(page, `${server.url}/devices/${agent.id}/terminal`);
	await type(page, 'echo drawn-$((1))');
	await says(page, 'drawn-1');
	assert.equal(await page.locator('.xterm-screen canvas').count(), 0);

	await page.addInitScript(() => {
		const { getContext } = HTMLCanvasElement.prototype;
		HTMLCanvasElement.prototype.getContext = /** @type {any} */ (
			/** @this {HTMLCanvasElement} @param {any} kind @param {any} options */
			function (kind, options) {
				return getContext.call(this, kind, { ...options, failIfMajorPerformanceCaveat: false });
			}
		);
		const { getParameter } = WebGL2RenderingContext.prototype;
		WebGL2RenderingContext.prototype.getParameter = function (name) {
			// UNMASKED_RENDERER_WEBGL
			return name === 0x9246 ? 'A real GPU' : getParameter.call(this, name);
		};
	});
	await page.goto(address);
	const drawn = page.locator('.xterm-screen canvas').first();
	await drawn.waitFor();
	await screen(page).waitFor({ state: 'detached' });
	await page.locator('.xterm-screen').evaluate((node) => {
		for (const canvas of node.querySelectorAll('canvas'))
			canvas.getContext('webgl2')?.getExtension('WEBGL_lose_context')?.loseContext();
	});
	await says(page, 'drawn-1');
	await eventually(async () => (await page.locator('.xterm-screen canvas').count()) === 0);
});
