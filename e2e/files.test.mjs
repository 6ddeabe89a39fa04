// @ts-check
// What is done with files on a device besides reading them: moved, their path copied, what git says of them, uploads
// that ask, pause and go on after a cut, pictures, and a file too large to be held at once.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CUT_OFF, open, signIn } from './browser.mjs';
import { eventually, stack } from './stack.mjs';
import { wire } from './wire.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

/** No repository around a folder, a name that is taken, and what is cut off on purpose. */
const EXPECTED = new RegExp(`${CUT_OFF.source}|status of (404|409)`);

/**
 * A device that may be written to, and a folder of it. `between` is the page's way to the server.
 * @param {import('node:test').TestContext} t @param {Awaited<ReturnType<typeof wire>>} [between]
 */
async function scene(t, between) {
	const { server, agent, folder } = await stack(t);
	between?.leadTo(server.url);
	await agent.join(server, 'bench', ['bash', 'read', 'write', 'logs']);
	const base = between?.url ?? server.url;
	const top = join(folder, 'files');
	mkdirSync(join(top, 'sub'), { recursive: true });
	const page = await open(t, { expectErrors: EXPECTED });
	await signIn(page, server, base);
	const at = (/** @type {string} */ path, view = '') =>
		`${base}/devices/${agent.id}/files${view}?${new URLSearchParams({ path })}`;
	return { page, top, at, agent };
}

/** @param {Page} page @param {string} name */
const listed = (page, name) => page.getByRole('list', { name: say('files_in', { name }), exact: true });

/** Chooses from the menu of a file. @param {Page} page @param {string} name @param {string} key */
async function choose(page, name, key) {
	await page.getByRole('button', { name: say('files_actions', { name }), exact: true }).click();
	await page.getByRole('menuitem', { name: say(key), exact: true }).click();
}

test('a file is moved, its path copied, and its state in git shown', async (t) => {
	const { page, top, at } = await scene(t);
	const git = (/** @type {string[]} */ ...args) =>
		execFileSync('git', ['-C', top, '-c', 'user.name=A', '-c', 'user.email=a@example.org', ...args]);
	git('init', '--quiet', '--initial-branch=arm');
	for (const name of ['kept.py', 'changed.py']) writeFileSync(join(top, name), 'x = 1\n');
	git('add', '.');
	git('commit', '--quiet', '--message=first');
	writeFileSync(join(top, 'changed.py'), 'x = 2\n');
	writeFileSync(join(top, 'new.py'), 'y = 1\n');
	await page.goto(at(top));
	const row = (/** @type {string} */ name) =>
		listed(page, 'files').getByRole('listitem').filter({ hasText: name });
	await row('changed.py').getByText(say('files_git_modified'), { exact: true }).waitFor();
	await row('new.py').getByText(say('files_git_untracked'), { exact: true }).waitFor();
	await page.getByTitle(say('files_git_branch', { name: 'arm' })).waitFor();
	assert.equal(await row('kept.py').locator('.git').count(), 0);

	await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
	await choose(page, 'new.py', 'files_copy_path');
	await page.getByText(say('files_path_copied')).first().waitFor();
	assert.equal(await page.evaluate(() => navigator.clipboard.readText()), join(top, 'new.py'));

	await choose(page, 'new.py', 'files_move');
	const dialog = page.getByRole('dialog', { name: say('files_move_title', { name: 'new.py' }), exact: true });
	const path = dialog.getByLabel(say('files_move_to'), { exact: true });
	const go = dialog.getByRole('button', { name: say('files_move'), exact: true });
	await path.fill('sub/new.py');
	await go.click();
	await dialog.getByText(say('files_path_wrong')).waitFor();
	// Onto what is there nothing is moved.
	await path.fill(join(top, 'kept.py'));
	await go.click();
	await dialog.getByRole('alert').waitFor();
	assert.equal(readFileSync(join(top, 'kept.py'), 'utf8'), 'x = 1\n');
	await path.fill(join(top, 'sub', 'moved.py'));
	await go.click();
	await row('new.py').waitFor({ state: 'detached' });
	await eventually(async () => existsSync(join(top, 'sub', 'moved.py')) && !existsSync(join(top, 'new.py')));
	await listed(page, 'files').getByRole('link', { name: 'sub' }).click();
	await listed(page, 'sub').getByRole('link', { name: 'moved.py' }).waitFor();
});

test('the folders of a device are a tree beside a folder: opened branch by branch, at the place that is shown, and renewed', async (t) => {
	const { page, top, at } = await scene(t);
	for (const path of ['sub/deep/deepest', 'other', '.hidden'])
		mkdirSync(join(top, path), { recursive: true });
	writeFileSync(join(top, 'file.txt'), 'x');
	await page.goto(at(top));
	const tree = page.getByRole('navigation', { name: say('files_tree'), exact: true });
	const folder = (/** @type {string} */ name) => tree.getByRole('link', { name, exact: true });
	const branch = (/** @type {string} */ name) =>
		tree.getByRole('button', { name: say('files_tree_branch', { name }), exact: true });
	await folder('sub').waitFor();
	await folder('other').waitFor();
	assert.equal(await tree.locator('[aria-current=page]').innerText(), 'files');
	for (const name of ['file.txt', '.hidden', 'deep']) assert.equal(await folder(name).count(), 0, name);

	await branch('sub').click();
	await folder('deep').click();
	await listed(page, 'deep').getByText('deepest').waitFor();
	await tree.locator('[aria-current=page]', { hasText: 'deep' }).waitFor();
	await folder('deepest').waitFor();
	await page.getByRole('button', { name: say('files_new_folder'), exact: true }).click();
	const dialog = page.getByRole('dialog', { name: say('files_new_folder'), exact: true });
	await dialog.getByLabel(say('device_name'), { exact: true }).fill('made');
	await dialog.getByRole('button', { name: say('files_make'), exact: true }).click();
	await folder('made').waitFor();
	await branch('sub').click();
	await folder('deep').waitFor({ state: 'detached' });

	await page.getByRole('button', { name: say('files_hidden_show'), exact: true }).click();
	await folder('.hidden').waitFor();
	await page.setViewportSize({ width: 390, height: 844 });
	await tree.waitFor({ state: 'detached' });
});

test('the tree shows its folder together with what is in it, however far down it is', async (t) => {
	const { page, top, at } = await scene(t);
	for (let n = 100; n < 180; n += 1) mkdirSync(join(top, `f${n}`));
	for (const inner of ['one', 'two', 'three']) mkdirSync(join(top, 'f160', inner));
	const tree = page.getByRole('navigation', { name: say('files_tree'), exact: true });
	const inSight = (/** @type {string} */ name) =>
		eventually(async () => {
			const [outer, inner] = await Promise.all([
				tree.boundingBox(),
				tree.getByRole('link', { name, exact: true }).boundingBox()
			]);
			return outer && inner && inner.y >= outer.y && inner.y + inner.height <= outer.y + outer.height;
		});
	await page.goto(at(join(top, 'f160')));
	for (const name of ['f160', 'one', 'two', 'three']) await inSight(name);
	// More than there is room for begin at its row.
	for (let n = 100; n < 160; n += 1) mkdirSync(join(top, 'f150', `g${n}`), { recursive: true });
	await page.goto(at(join(top, 'f150')));
	for (const name of ['f150', 'g100', 'g110']) await inSight(name);
});

test('a text has a number at each line, which is its address, and comes down as it is', async (t) => {
	const { page, top, at } = await scene(t);
	const text = Array.from({ length: 30 }, (_, number) => `line of text ${number + 1}\n`).join('');
	writeFileSync(join(top, 'poem.txt'), text);
	await page.goto(at(join(top, 'poem.txt'), '/view'));
	const content = page.getByRole('region', { name: say('files_content') });
	for (const number of [1, 7, 30]) {
		const line = content.locator('.line').filter({ hasText: new RegExp(`line of text ${number}$`) });
		assert.equal(await line.getByRole('button').innerText(), String(number));
	}
	await content.getByRole('button', { name: say('files_line', { number: '7' }), exact: true }).click();
	await page.waitForURL(/line=7$/);
	await content.locator('.looked').getByText('line of text 7', { exact: true }).waitFor();

	const coming = page.waitForEvent('download');
	await page.getByRole('button', { name: say('files_download'), exact: true }).click();
	const download = await coming;
	assert.equal(download.suggestedFilename(), 'poem.txt');
	assert.equal(readFileSync(await download.path(), 'utf8'), text);
});

test('an upload asks before it replaces, pauses, and goes on after a cut from where it was', async (t) => {
	const { page, top, at } = await scene(t);
	writeFileSync(join(top, 'model.bin'), 'the old one');
	const large = Buffer.alloc(9 * 1024 * 1024, 'foreman ');
	await page.goto(at(top));
	await listed(page, 'files').getByRole('link', { name: 'model.bin' }).waitFor();
	const uploads = page.getByRole('region', { name: say('files_uploads') });
	const button = (/** @type {string} */ key) =>
		uploads.getByRole('button', { name: say(key, { name: 'model.bin' }), exact: true });
	/** Pieces as they are let through: from which byte each was sent. @type {number[]} */
	const sent = [];
	/** @type {'go' | 'hold' | 'cut'} */
	let line = 'hold';
	await page.route(/\/uploads\/[^/]+\?offset=/, async (route) => {
		sent.push(Number(new URL(route.request().url()).searchParams.get('offset')));
		if (line === 'cut') return route.abort();
		// The first arrives; the next waits for whatever becomes of it.
		if (line === 'hold' && sent.length > 1) return;
		await route.continue();
	});
	await page
		.locator('input[type="file"]')
		.setInputFiles([{ name: 'model.bin', mimeType: 'application/octet-stream', buffer: large }]);
	await uploads.getByText(say('files_upload_exists')).waitFor();
	assert.equal(readFileSync(join(top, 'model.bin'), 'utf8'), 'the old one');
	await button('files_upload_replace').click();

	const piece = 2 * 1024 * 1024;
	await eventually(async () => sent.length === 2);
	await button('files_upload_pause').click();
	await uploads.getByText(new RegExp(`^${say('files_upload_paused', { size: '2' })}`)).waitFor();
	assert.equal(
		readFileSync(join(top, 'model.bin'), 'utf8'),
		'the old one',
		'half of a file replaces nothing'
	);
	line = 'cut';
	await button('files_upload_resume').click();
	await uploads.getByText(say('files_upload_cut')).waitFor();
	line = 'go';
	await uploads.getByText(say('files_upload_done'), { exact: true }).waitFor();
	assert.ok(readFileSync(join(top, 'model.bin')).equals(large));
	assert.deepEqual(
		[...new Set(sent)],
		[0, 1, 2, 3, 4].map((at) => at * piece),
		'each piece once the one before was safe'
	);
});

test('a picture is shown, and a file too large to be held is read by parts', async (t) => {
	const { page, top, at } = await scene(t);
	const pixel =
		'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
	writeFileSync(join(top, 'dot.png'), Buffer.from(pixel, 'base64'));
	writeFileSync(join(top, 'broken.png'), 'no picture at all \0');
	await page.goto(at(join(top, 'dot.png'), '/view'));
	const picture = page.getByRole('img', { name: 'dot.png' });
	await picture.waitFor();
	await eventually(() =>
		picture.evaluate((node) => /** @type {HTMLImageElement} */ (node).naturalWidth === 1)
	);
	await page.goto(at(join(top, 'broken.png'), '/view'));
	await page.getByRole('heading', { name: say('files_binary') }).waitFor();

	// 12 MB of lines that say where they are.
	const lines = 200_000;
	const text = Array.from({ length: lines }, (_, at) => `line ${at + 1} ${'.'.repeat(48)}`).join('\n');
	writeFileSync(join(top, 'long.log'), text);
	let fetched = 0;
	page.on('response', async (response) => {
		if (/\/content/.test(response.url())) fetched += Number(response.headers()['content-length'] ?? 0);
	});
	await page.goto(at(join(top, 'long.log'), '/view'));
	const content = page.getByRole('region', { name: say('files_content') });
	await content.getByText(/^line 1 /).waitFor();
	assert.ok(fetched < 1024 * 1024, `${fetched} bytes were fetched`);
	await page.getByRole('button', { name: say('files_go_line') }).click();
	await page.getByRole('textbox', { name: say('files_go_line') }).fill('150000');
	await page.getByRole('button', { name: say('files_go'), exact: true }).click();
	await content.getByText(/^line 150000 /).waitFor();
	await page.waitForURL(/line=150000/);
	const position = page.getByRole('slider', { name: say('files_position') });
	await position.focus();
	await page.keyboard.press('End');
	await eventually(async () => await page.getByRole('button', { name: say('files_later') }).isDisabled());
	await page.getByRole('button', { name: say('files_earlier') }).click();
	await eventually(async () => !(await page.getByRole('button', { name: say('files_later') }).isDisabled()));
	assert.ok((await content.locator('*').count()) < 5_000, 'only what is seen is drawn');
});

test('a word is found in the whole of a large file: the device looks, and the window with each match is gone to', async (t) => {
	const { page, top, at } = await scene(t);
	// 52 MB of source code.
	const lines = Array.from(
		{ length: 640_000 },
		(_, n) => `def step_${n + 1}(value): return value + ${n}  # ${'.'.repeat(40)}`
	);
	for (const n of [3, 400_000, 639_900]) lines[n - 1] = `haystack = "Needle and needle"  # here is line ${n}`;
	const text = lines.join('\n');
	assert.ok(text.length > 50_000_000, `${text.length} bytes`);
	writeFileSync(join(top, 'large.py'), text);
	let fetched = 0;
	page.on('response', (response) => {
		if (/\/content/.test(response.url())) fetched += Number(response.headers()['content-length'] ?? 0);
	});
	await page.goto(at(join(top, 'large.py'), '/view'));
	const content = page.getByRole('region', { name: say('files_content') });
	await content.getByText('step_1', { exact: false }).first().waitFor();
	const bar = page.getByRole('search');
	const count = (/** @type {number} */ current) =>
		bar.getByText(say('output_matches', { current, count: 6 }), { exact: true }).waitFor();
	const at_line = (/** @type {number} */ number) =>
		content
			.locator('.line', { hasText: `here is line ${number}` })
			.locator('mark.current')
			.waitFor();
	await page.keyboard.press('Control+f');
	await page.getByRole('searchbox', { name: say('files_find_in') }).fill('needle');
	await count(1);
	await at_line(3);
	for (const [current, number] of [
		[2, 3],
		[3, 400_000],
		[4, 400_000],
		[5, 639_900]
	]) {
		await page.getByRole('button', { name: say('output_next') }).click();
		await count(current);
		await at_line(number);
	}
	// The number of its line is known though nobody counted up to there, and its words are coloured.
	const line = content.locator('.line', { hasText: 'here is line 639900' });
	assert.equal(await line.getByRole('button').innerText(), '639900');
	await line.locator('span[style*="color"]').first().waitFor();
	await page.getByRole('button', { name: say('output_next') }).click();
	await page.getByRole('button', { name: say('output_next') }).click();
	await count(1);
	await at_line(3);
	await page.getByRole('button', { name: say('output_previous') }).click();
	await count(6);
	await at_line(639_900);
	assert.ok(fetched < 4 * 1024 * 1024, `${fetched} bytes were fetched`);

	// As typed with capitals, and one that is too often to be counted.
	const field = page.getByRole('searchbox', { name: say('files_find_in') });
	await field.fill('Needle');
	await bar.getByText(say('output_matches', { current: 3, count: 3 }), { exact: true }).waitFor();
	await field.fill('value');
	await bar.getByText(/ or more$/).waitFor();
	await field.fill('nowhere in it');
	await bar.getByText(say('output_no_match'), { exact: true }).waitFor();
});

/** The viewer of a file of `top`, looked through for a word by the device. @param {Page} page @param {string} name */
async function finder(page, name) {
	await listed(page, 'files').getByRole('link', { name }).click();
	await page.getByRole('button', { name: say('files_find_in') }).click();
	const bar = page.getByRole('search');
	return {
		field: bar.getByRole('searchbox', { name: say('files_find_in') }),
		/** @param {string} key */
		press: (key) => bar.getByRole('button', { name: say(key) }).click(),
		/** @param {string} current @param {string} count */
		says: (current, count, key = 'output_matches') =>
			bar.getByText(say(key, { current, count }), { exact: true }).waitFor()
	};
}

test('matches go on after as many as the device tells at once, forwards, backwards and by scrolling', async (t) => {
	const { page, top, at } = await scene(t);
	const lines = Array.from({ length: 5_000 }, (_, n) => `needle ${n + 1} ${'.'.repeat(300)}`);
	writeFileSync(join(top, 'large.log'), lines.join('\n'));
	await page.goto(at(top));
	const { field, press, says } = await finder(page, 'large.log');
	const at_line = (/** @type {number} */ number) =>
		page
			.locator('.line', { hasText: `needle ${number} ` })
			.locator('mark.current')
			.waitFor();
	await field.fill('needle');
	await says('1', '2,000', 'output_matches_many');
	await press('output_previous');
	await says('2,000', '2,000', 'output_matches_many');
	await at_line(2_000);
	await press('output_next');
	await says('2,001', '3,999', 'output_matches_many');
	await at_line(2_001);
	await press('output_previous');
	await says('2,000', '3,999', 'output_matches_many');
	await at_line(2_000);
	const position = page.getByRole('slider', { name: say('files_position') });
	await position.focus();
	await page.keyboard.press('End');
	await says('2,000', '5,000');
	await press('output_next');
	await says('2,001', '5,000');
	await at_line(2_001);
	await press('output_previous');
	for (const number of [1_999, 1_998]) {
		await press('output_previous');
		await says(String(number).replace('1', '1,'), '5,000');
		await at_line(number);
	}
});

test('a search that nobody waits for any more ends on the device', async (t) => {
	const between = await wire(t);
	const { page, top, at, agent } = await scene(t, between);
	const path = join(top, 'large.log');
	// More hits than fit on the way, so that the device waits with the rest.
	const lines = Array.from({ length: 5_000 }, () => `needle ${'\u0001'.repeat(490)}`);
	writeFileSync(path, lines.join('\n'));
	const descriptors = `/proc/${agent.program?.child.pid}/fd`;
	const opened = () =>
		readdirSync(descriptors).some((fd) => {
			try {
				return readlinkSync(join(descriptors, fd)) === path;
			} catch {
				return false;
			}
		});
	await page.goto(at(top));
	const { field, press } = await finder(page, 'large.log');
	for (const leave of [
		() => field.fill('nowhere'),
		() => press('output_search_close'),
		() => page.goBack()
	]) {
		if (!(await field.isVisible())) await page.getByRole('button', { name: say('files_find_in') }).click();
		between.hold();
		await field.fill('needle');
		await eventually(async () => opened());
		await leave();
		await eventually(async () => !opened());
		between.letGo();
	}
	await listed(page, 'files').waitFor();
});
