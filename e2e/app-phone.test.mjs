// @ts-check
// The app on a phone: what only the app has, by one thumb. The page is the app's own; see `app.mjs` for what stands
// around it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { failure, openApp, shippedSignIns } from './app.mjs';
import { settled, swipe, violations } from './browser.mjs';
import { beyond } from './fit.mjs';
import { atEnd, eventually, stack } from './stack.mjs';
import { catalogue, say } from './words.mjs';

const FINGERPRINT = '9f2c'.repeat(16);
const GROUPED = FINGERPRINT.toUpperCase().replace(/(.{4})(?=.)/g, '$1 ');

/** Kit looks for a newer build where a page could not be opened; the app's policy has no place for that. */
const REFUSED = /status of|version\.json/;

/** @param {import('playwright-core').Page} page */
const button = (page, /** @type {string} */ key, values = {}) =>
	page.getByRole('button', { name: say(key, values), exact: true });

test('the first start scans a server, shows what it is, and sends nothing before it is confirmed', async (t) => {
	const { server } = await stack(t);
	await server.setupCode();
	await server.api('/api/v1/session').catch(() => undefined);
	const { page, app } = await openApp(t);
	const link = `foreman://pair?server=${encodeURIComponent(server.url)}&fingerprint=${FINGERPRINT}`;
	app.findable.set(link, { server, fingerprint: FINGERPRINT });
	await app.go('/');
	await page.waitForURL('**/welcome');
	await button(page, 'app_add').tap();
	// Without a camera the page stays as it is.
	await button(page, 'app_scan').tap();
	await eventually(async () => app.of('plugin:barcode-scanner|request_permissions').length === 1);
	assert.equal(app.of('plugin:barcode-scanner|scan').length, 0);
	app.code = link;
	await button(page, 'app_scan').tap();
	await page.getByRole('heading', { name: say('app_confirm') }).waitFor();
	assert.deepEqual(app.felt, ['done'], 'a code that was read is felt');
	await page.getByText(server.url, { exact: true }).waitFor();
	await page.getByText(GROUPED, { exact: true }).waitFor();
	await page.getByText(say('app_confirm_as_linked')).waitFor();
	assert.deepEqual(app.requests, [], 'nothing goes to the server before it is confirmed');
	assert.equal(app.of('sign_in').length + app.of('sign_in_by_browser').length, 0);

	// Back, and nothing was agreed to; then by the code.
	await button(page, 'app_back').tap();
	await button(page, 'app_scan').tap();
	await button(page, 'app_sign_in_code').tap();
	await page.getByText('WDJB-MJHT', { exact: true }).waitFor();
	await button(page, 'app_code_open').tap();
	await eventually(async () => app.of('open_sign_in_page').length === 1);
	await eventually(async () => app.allow);
	app.allow?.(true);
	await settled(page);
	assert.deepEqual(
		app.servers.map(({ address, selected }) => ({ address, selected })),
		[{ address: server.url, selected: true }]
	);
	assert.deepEqual(
		app.of('sign_in').map(({ address }) => address),
		[server.url]
	);
});

test('a link that was opened only shows the server, and a refusal there keeps nothing', async (t) => {
	const { server } = await stack(t);
	const { page, app } = await openApp(t, server);
	const link = `foreman://pair?server=${encodeURIComponent(server.url)}`;
	app.findable.set(link, { server, fingerprint: null });
	await app.go('/');
	await settled(page);
	await app.tell('news', { kind: 'pair', link });
	await page.getByRole('heading', { name: say('app_confirm') }).waitFor();
	await page.getByText(say('app_confirm_open')).waitFor();
	await button(page, 'app_sign_in_browser').tap();
	await eventually(async () => app.allow);
	app.allow?.(false);
	await page.getByRole('alert').waitFor();
	assert.equal(app.servers.length, 1);
});

test('servers are switched, renamed and left by one thumb', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const { server: other } = await stack(t);
	const { page, app } = await openApp(t, server);
	await app.knows(other, 'cabin');
	await app.go('/settings/servers');
	const row = (/** @type {string} */ name) => page.getByRole('listitem').filter({ hasText: name });
	const ofServer = (/** @type {string} */ key, /** @type {string} */ name) =>
		row(name).getByRole('button', { name: say(key) });
	await row('cabin').getByText(say('app_shown')).waitFor();
	await ofServer('app_show', 'home').tap();
	await page.waitForURL((url) => url.pathname === '/');
	await page.getByText('bench').first().waitFor();
	await app.go('/settings/servers');
	await ofServer('app_rename', 'cabin').tap();
	await page.getByRole('dialog').getByLabel(say('app_rename_label')).fill('hut');
	await page
		.getByRole('dialog')
		.getByRole('button', { name: say('save'), exact: true })
		.tap();
	await row('hut').waitFor();
	await ofServer('app_leave', 'hut').tap();
	await page
		.getByRole('alertdialog')
		.or(page.getByRole('dialog'))
		.getByRole('button', { name: say('app_leave'), exact: true })
		.tap();
	await row('hut').waitFor({ state: 'detached' });
	assert.deepEqual(
		app.servers.map(({ name }) => name),
		['home']
	);
});

test('what destroys asks for the finger of the phone’s person, where that is wanted', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { id } = await server.api(`/api/v1/devices/${agent.id}/tasks`, { json: { shell: 'sleep 600' } });
	const state = async () => (await server.api(`/api/v1/tasks/${id}`)).state;
	await eventually(async () => (await state()) === 'running');
	const { page, app } = await openApp(t, server);
	await app.go('/settings/app');
	await page.getByLabel(say('lock_before_acts')).tap();
	await eventually(async () => app.phone.checks.before_acts);
	await app.go('/work');
	const row = page.getByRole('link', { name: /sleep 600/ });
	const box = await row.boundingBox();
	assert.ok(box);
	const y = box.y + box.height / 2;
	await swipe(page, { x: box.x + box.width * 0.75, y }, { x: box.x + box.width * 0.25, y });
	const actions = page.getByRole('group', { name: say('task_actions', { command: 'sleep 600' }) });
	await actions.getByRole('button', { name: say('task_stop'), exact: true }).tap();
	assert.deepEqual(app.felt, ['threshold', 'warning'], 'the edge, and what is at stake');
	const question = page.getByRole('dialog', { name: say('task_stop_title') });
	app.isPerson = false;
	await question.getByRole('button', { name: say('task_stop'), exact: true }).tap();
	await question.getByRole('alert').waitFor();
	assert.equal(await state(), 'running', 'somebody else’s finger stops nothing');
	app.isPerson = true;
	await question.getByRole('button', { name: say('task_stop'), exact: true }).tap();
	await eventually(async () => (await state()) === 'stopped');
	assert.equal(app.of('ask_person').length, 2);
	// The same without a swipe.
	await page.getByRole('button', { name: say('task_actions', { command: 'sleep 600' }) }).waitFor();
});

test('the back gesture closes what lies over a page first, then goes back, and leaves the app at the end', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const { page, app } = await openApp(t, server);
	await app.go('/devices');
	await page.getByRole('button', { name: say('device_actions', { name: 'bench' }) }).tap();
	await page.getByRole('menu').waitFor();
	await app.tell('back-button', { canGoBack: true });
	await page.getByRole('menu').waitFor({ state: 'hidden' });
	assert.equal(new URL(page.url()).pathname, '/devices');
	await page
		.getByRole('navigation', { name: say('nav_main') })
		.getByRole('link', { name: say('nav_work') })
		.tap();
	await page.waitForURL('**/work');
	await app.tell('back-button', { canGoBack: true });
	await page.waitForURL('**/devices');
	await app.tell('back-button', { canGoBack: false });
	await eventually(async () => app.of('plugin:app|exit').length === 1);
});

test('a locked app shows nothing, and its person opens it', async (t) => {
	const { server } = await stack(t, { device: 'bench' });
	const { page, app } = await openApp(t, server, { expectErrors: /./ });
	app.phone.checks.at_start = app.phone.locked = true;
	app.isPerson = false;
	await app.go('/devices');
	await page.getByRole('heading', { name: say('lock_title') }).waitFor();
	await page.getByRole('dialog').getByRole('alert').waitFor();
	assert.deepEqual(app.requests, []);
	app.isPerson = true;
	await button(page, 'lock_open').tap();
	await page.getByRole('article').first().waitFor();
	assert.deepEqual(
		app.of('unlock').map(({ reason }) => reason),
		Array(2).fill(say('lock_reason'))
	);
});

test('a file is saved by the program and given to the phone’s other apps', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { page, app } = await openApp(t, server);
	await app.go(`/devices/${agent.id}/files/view?path=/usr/lib/os-release`);
	await button(page, 'files_download').tap();
	await button(page, 'saves_share').tap();
	await eventually(async () => app.of('show_save').length === 1);
	const [begun] = app.of('begin_save');
	assert.equal(begun.head.device, agent.id);
	assert.deepEqual(app.of('show_save'), [{ number: app.saves[0].number }]);
});

test('the system asks about notifications at a press only, and a press on one opens what it is about', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { page, app } = await openApp(t, server);
	await app.go('/settings');
	await page.getByRole('link', { name: say('notices_title') }).tap();
	await page.getByText(say('notices_unasked')).waitFor();
	assert.equal(app.of('try_notice').length, 0, 'looking at the settings asks nothing');
	await button(page, 'notices_allow').tap();
	await button(page, 'notices_test').waitFor();
	await page.getByText(say('notices_ready_plain')).waitFor();
	assert.equal(app.of('try_notice').length, 1);
	await app.tell('news', { kind: 'open', page: `/devices/${agent.id}` });
	await page.getByRole('heading', { level: 1, name: 'bench' }).waitFor();
});

test('who does not allow notifications is told where that is changed', async (t) => {
	const { server } = await stack(t);
	const { page, app } = await openApp(t, server);
	app.allowsNotices = false;
	await app.go('/settings/notifications');
	await button(page, 'notices_allow').tap();
	await page.getByText(say('notices_missing_todo')).waitFor();
	await button(page, 'notices_test').waitFor();
});

test('a closed app is told by another app of its person’s choice, and goes on being told where that one moves', async (t) => {
	const { pushed, url } = await pushService(t);
	const { server } = await stack(t, { env: { FOREMAN_PUSH_PRIVATE: 'true' } });
	const { page, app } = await openApp(t, server);
	const receivers = async () => (await server.api('/api/v1/push/receivers')).items;
	app.endpoint = `${url}/one`;
	await app.go('/settings/notifications');
	await page.getByText(say('push_phone_none')).waitFor();
	app.distributors = [
		{ id: 'io.heckel.ntfy', name: 'ntfy' },
		{ id: 'org.unifiedpush.distributor.nextpush', name: 'NextPush' }
	];
	await button(page, 'push_phone_look').tap();
	await page.getByLabel(say('push_phone_by'), { exact: true }).selectOption('NextPush');
	app.instead.register_push = () => {
		throw failure('push_waits');
	};
	await button(page, 'push_browser_start').tap();
	await page.getByRole('alert').getByText(say('push_waits_todo')).waitFor();
	assert.deepEqual(await receivers(), []);
	delete app.instead.register_push;
	await button(page, 'push_browser_start').tap();
	await page.getByText(say('push_phone_on', { name: 'NextPush' })).waitFor();
	const { public_key: key } = await server.api('/api/v1/push');
	assert.deepEqual(app.of('register_push').at(-1), { distributor: app.distributors[1].id, key });
	const [made] = await receivers();
	assert.deepEqual([made.kind, made.name, made.says], ['unified_push', say('push_phone_name'), 'little']);
	const row = page.getByRole('listitem').filter({ hasText: say('push_here_phone') });
	await row.getByRole('button', { name: say('push_test_named', { name: made.name }) }).tap();
	await row.getByText(say('push_tested')).waitFor();
	assert.deepEqual(pushed, [{ path: '/one', encoding: 'aes128gcm' }]);

	// The next start asks the same one again.
	app.endpoint = `${url}/two`;
	await app.go('/devices');
	await eventually(async () => {
		const [moved] = await receivers();
		return moved.id === made.id && moved.fingerprint !== made.fingerprint;
	});
	assert.equal((await receivers()).length, 1);

	// Removed elsewhere, it is given up here.
	await server.api(`/api/v1/push/receivers/${made.id}`, { method: 'DELETE' });
	await app.go('/settings/notifications');
	await eventually(async () => app.registration === null);

	await page.reload();
	await button(page, 'push_browser_start').tap();
	await button(page, 'push_browser_stop').tap();
	await button(page, 'push_browser_start').waitFor();
	assert.deepEqual([app.registration, await receivers()], [null, []]);
});

test('an app that comes back from the background hears at once what happened meanwhile', async (t) => {
	const { server, agent } = await stack(t, { device: 'bench' });
	const { page, app } = await openApp(t, server);
	await app.go('/devices');
	await settled(page);
	const card = (/** @type {string} */ name) => page.getByRole('article').filter({ hasText: name });
	await card('bench').waitFor();
	app.frozen = true;
	await server.api(`/api/v1/devices/${agent.id}`, { method: 'PATCH', json: { name: 'workshop' } });
	// What the stream says next is where it ends, unheard.
	await eventually(async () => app.lost.some((path) => path.startsWith('/api/v1/events')));
	app.frozen = false;
	assert.equal(await card('workshop').count(), 0);
	// A minute went by, and the system shows the page again.
	await page.evaluate(() => {
		const now = Date.now;
		Date.now = () => now() + 60_000;
		document.dispatchEvent(new Event('visibilitychange'));
	});
	await card('workshop').waitFor();
});

test('nothing to press lies under the camera or the system’s bar', async (t) => {
	const INSETS = { top: 47, bottom: 34 };
	const { server } = await stack(t, { device: 'bench' });
	const { page, app } = await openApp(t, server, { expectErrors: REFUSED });
	const devtools = await page.context().newCDPSession(page);
	await devtools.send('Emulation.setSafeAreaInsetsOverride', { insets: INSETS });
	app.findable.set('sealed', { server, fingerprint: FINGERPRINT });
	app.saves = [{ number: 1, name: 'train.log', received: 12, total: 12, state: { kind: 'done' } }];
	const under = () =>
		page.evaluate(({ top, bottom }) => {
			/** @type {string[]} */
			const found = [];
			const stays = (/** @type {Element | null} */ it) =>
				it !== null &&
				(['fixed', 'sticky'].includes(getComputedStyle(it).position) || stays(it.parentElement));
			for (const one of document.querySelectorAll('a, button, input, [role="menuitem"]')) {
				if (!one.checkVisibility() || one.closest('[inert], .skip')) continue;
				const box = one.getBoundingClientRect();
				const low = stays(one) && box.bottom > innerHeight - bottom && box.top < innerHeight;
				if (box.top < top || low) found.push(`${one.outerHTML.slice(0, 90)}: ${box.top}–${box.bottom}`);
			}
			return found;
		}, INSETS);
	/** @type {Record<string, string[]>} */
	const all = {};
	const see = async (/** @type {string} */ what) => {
		await page.evaluate(() => document.fonts.ready);
		const found = await under();
		if (found.length > 0) all[what] = found;
	};
	await app.go('/devices');
	await settled(page);
	await button(page, 'saves_share').waitFor();
	await see('a page with its bars');
	await app.go('/devices?add');
	await page.getByRole('dialog').waitFor();
	await see('a dialog');
	await app.go('/welcome?add');
	await look(page, catalogue('en'), 'sealed');
	await see('a door');
	app.phone.locked = true;
	app.isPerson = false;
	await app.go('/');
	await button(page, 'lock_open').waitFor();
	await see('the lock');
	assert.deepEqual(all, {});
});

/** What a distributor's server takes in. @param {import('node:test').TestContext} t */
async function pushService(t) {
	/** @type {{ path: string | undefined, encoding: string | undefined }[]} */
	const pushed = [];
	const server = createServer((request, response) => {
		pushed.push({ path: request.url, encoding: request.headers['content-encoding'] });
		request.resume();
		response.writeHead(201).end();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	return { pushed, url: `http://127.0.0.1:${port}` };
}

/** Changes that wait; the server refused the second. */
const WAITING = [
	{
		place: 1,
		at: Date.UTC(2026, 10, 20, 9),
		about: 'device:1',
		label: { kind: 'rename-device', was: 'bench', name: 'workbench-beside-the-window-upstairs' },
		refused: null
	},
	{
		place: 2,
		at: Date.UTC(2026, 10, 20, 10),
		about: 'task:1',
		label: {
			kind: 'start-task',
			device: 'bench',
			command: 'python train.py --epochs 400 --resume /data/checkpoints/policy-2026-11-20/latest.pt'
		},
		refused: failure('not_found', 404)
	},
	{
		place: 3,
		at: Date.UTC(2026, 10, 20, 11),
		about: 'task:1',
		label: { kind: 'rename-chat', was: '', name: 'Why does the arm drift?' },
		refused: null
	}
];

/** Providers in every state. */
async function signIns() {
	const shipped = await shippedSignIns({ 'github-copilot': { configured: true } });
	const own = {
		...shipped[0],
		id: 'gateway',
		name: 'Gateway of the institute',
		shipped: false,
		on_device: null
	};
	const inside = { state: 'signed_in', signed_in_at: Date.UTC(2026, 10, 20), renews: true };
	return [
		...shipped,
		{ ...own, ...inside, in_vault_of: 'home', in_vault_here: true },
		{ ...own, id: 'other', name: 'Elsewhere', state: 'ended' }
	];
}

/**
 * Every page and dialog that only the app has, and how one comes there. `on` begins at another address than its own.
 * @type {Record<string, { path: string, first?: (app: import('./app.mjs').App) => unknown, then?: (page: import('playwright-core').Page, words: any, app: import('./app.mjs').App) => Promise<unknown> }>}
 */
const PLACES = {
	welcome: { path: '/welcome', first: (app) => (app.servers = []) },
	'sign in again': { path: '/welcome?refused' },
	'add a server': { path: '/welcome?add' },
	'not an address': {
		path: '/welcome?add',
		then: async (page, words) => {
			await page.getByLabel(say('app_address', {}, words), { exact: true }).fill('what?');
			await page.getByRole('button', { name: say('app_look', {}, words), exact: true }).tap();
			await page.getByText(say('problem_not_an_address', {}, words)).waitFor();
		}
	},
	confirm: { path: '/welcome?add', then: (page, words) => look(page, words, 'sealed') },
	'confirm in the open': { path: '/welcome?add', then: (page, words) => look(page, words, 'open') },
	'sign in with a code': {
		path: '/welcome?add',
		then: async (page, words) => {
			await look(page, words, 'sealed');
			await page.getByRole('button', { name: say('app_sign_in_code', {}, words), exact: true }).tap();
			await page.getByText('WDJB-MJHT', { exact: true }).waitFor();
		}
	},
	'sign in with the browser': {
		path: '/welcome?add',
		then: async (page, words) => {
			await look(page, words, 'sealed');
			await page.getByRole('button', { name: say('app_sign_in_browser', {}, words), exact: true }).tap();
			await page.getByRole('button', { name: say('app_browser_open', {}, words), exact: true }).waitFor();
		}
	},
	servers: {
		path: '/settings/servers',
		first: (app) =>
			app.servers.push({
				...app.servers[0],
				id: 'two',
				name: 'The institute’s server in the cellar',
				address: 'https://foreman.institute.example.org',
				selected: false
			}),
		then: async (page) => {
			for (const row of await page.locator('main li').filter({ hasText: 'http' }).all()) {
				const lines = await row
					.locator('.acts button')
					.evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
				assert.deepEqual(
					[lines.length, new Set(lines).size],
					[2, 1],
					'what is done to a server is in one line'
				);
			}
		}
	},
	app: { path: '/settings/app' },
	'an app that cannot tell its person': {
		path: '/settings/app',
		first: (app) => (app.phone.knows_person = false)
	},
	settings: { path: '/settings' },
	about: { path: '/settings/about' },
	notifications: {
		path: '/settings/notifications',
		first: (app) => Object.assign(app.notices, { available: true, unasked: false })
	},
	'an app that is told while it is closed': {
		path: '/settings/notifications',
		first: (app) =>
			(app.distributors = [
				{ id: 'io.heckel.ntfy', name: 'ntfy' },
				{ id: 'org.example', name: 'Überbringer mit einem langen Namen' }
			])
	},
	'an iPhone that Apple brings nothing to': {
		path: '/settings/notifications',
		first: (app) => (app.distributors = null)
	},
	'notifications not asked about': { path: '/settings/notifications' },
	'notifications not allowed': {
		path: '/settings/notifications',
		first: (app) => (app.notices.unasked = false)
	},
	'sign-ins': { path: '/settings/sign-ins' },
	'a code for a provider': {
		path: '/settings/sign-ins',
		then: async (page, words) => {
			await page.getByRole('button', { name: say('signin_in', { name: 'GitHub Copilot' }, words) }).tap();
			// Once: two would be one too many to choose from.
			await page.getByText('A1B2-C3D4', { exact: true }).waitFor();
		}
	},
	'a provider on a device': {
		path: '/settings/sign-ins',
		then: async (page, words) => {
			await page
				.getByRole('button', { name: new RegExp(`${say('signin_device_choose', {}, words)}.*Claude Code`) })
				.tap();
			await page.getByRole('button', { name: say('signin_device_in', {}, words), exact: true }).waitFor();
		}
	},
	'a provider of one’s own': {
		path: '/settings/sign-ins',
		then: async (page, words) => {
			await page.getByRole('button', { name: say('signin_add', {}, words), exact: true }).tap();
			await page.getByRole('dialog').waitFor();
		}
	},
	'waiting changes': { path: '/waiting', first: (app) => (app.waiting = WAITING) },
	'what a keychain sealed that a file took the place of': {
		path: '/waiting',
		first: (app) => (app.aside = { changes: 2, drafts: 1 }),
		then: (page, words) =>
			page.getByText(say('waiting_aside_count', { changes: 2, drafts: 1 }, words), { exact: true }).waitFor()
	},
	'dropping a waiting change': {
		path: '/waiting',
		first: (app) => (app.waiting = WAITING),
		then: async (page, words) => {
			await page
				.getByRole('button', { name: say('waiting_discard', {}, words), exact: true })
				.first()
				.tap();
			await page.getByRole('alertdialog').or(page.getByRole('dialog')).waitFor();
		}
	},
	'a passphrase to make': {
		path: '/devices',
		first: (app) => (app.instead.ask = () => Promise.reject(failure('keychain_missing')))
	},
	'a passphrase to give': {
		path: '/devices',
		first: (app) => (app.instead.ask = () => Promise.reject(failure('passphrase_needed')))
	},
	locked: { path: '/', first: (app) => ((app.phone.locked = true), (app.isPerson = false)) }
};

/** @param {import('playwright-core').Page} page @param {Record<string, any>} words @param {string} address */
async function look(page, words, address) {
	await page.getByLabel(say('app_address', {}, words), { exact: true }).fill(address);
	await page.getByRole('button', { name: say('app_look', {}, words), exact: true }).tap();
	await page.getByRole('heading', { name: say('app_confirm', {}, words) }).waitFor();
}

for (const [language, locale] of /** @type {const} */ ([
	['de', 'de-DE'],
	['en', 'en-GB']
])) {
	for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
		test(`what only the app has fits a phone and is clean to axe (${language}, ${colorScheme})`, async (t) => {
			const { server } = await stack(t, { device: 'bench' });
			const words = catalogue(language);
			/** @type {Record<string, string[]>} */
			const all = {};
			const { page, app } = await openApp(t, server, { locale, colorScheme, expectErrors: REFUSED });
			for (const [name, { path, first, then }] of Object.entries(PLACES)) {
				app.reset();
				await app.knows(server, 'home');
				app.signIns = await signIns();
				app.findable
					.set('sealed', { server, fingerprint: FINGERPRINT })
					.set('open', { server, fingerprint: null });
				await first?.(app);
				await app.go(path);
				await page.getByRole('heading').first().waitFor();
				await then?.(page, words, app);
				await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
				await page.evaluate(() => document.fonts.ready);
				await page.screenshot({
					path: `test-results/app-phone-${language}-${colorScheme}-${name.replace(/\W+/g, '-')}.png`,
					fullPage: !then
				});
				const found = [...(await page.evaluate(beyond)), ...(await violations(page))];
				if (found.length > 0) all[name] = found;
			}
			assert.deepEqual(all, {});
		});
	}
}
