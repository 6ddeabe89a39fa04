// @ts-check
// The app's own page on a phone: the files that are in the app, at the address and under the policy that they have
// there, in a browser of a phone's size. What stands for the program around the page passes on what is asked of a server
// to the real one, as the program does, and writes down what would be felt, asked of the phone's person, or shared.
import { createECDH, createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { open, PHONE } from './browser.mjs';

/** @import * as Commands from '../src/lib/host/app/commands.js' */
/** @typedef {import('./stack.mjs').Server} Server */
/** @typedef {{ id: string, name: string, address: string, bearer: string, selected: boolean }} Known */

/** Where Android has the page. */
export const ADDRESS = 'http://tauri.localhost';
const BUILD = new URL('../build/', import.meta.url).pathname;
const TYPES = {
	'.html': 'text/html',
	'.js': 'text/javascript',
	'.css': 'text/css',
	'.svg': 'image/svg+xml',
	'.png': 'image/png',
	'.woff2': 'font/woff2',
	'.webmanifest': 'application/manifest+json',
	'.wasm': 'application/wasm'
};
const DEFINITIONS = new URL('../client/src/app/providers_sign_in/definitions.json', import.meta.url);
const CONFIGURATION = new URL('../src-tauri/tauri.conf.json', import.meta.url);

/** What a command refuses with. @param {string} code @param {number} [status] */
export const failure = (code, status = 0) => ({
	code,
	message: `The stand-in says: ${code}.`,
	status,
	details: {}
});

/** In the page, before anything else: what Tauri puts there. Bytes cross as text. */
function internals() {
	/** @type {Map<number, (message: unknown) => void>} */
	const callbacks = new Map();
	const encode = (/** @type {Uint8Array} */ bytes) =>
		btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(''));
	const decode = (/** @type {string} */ text) =>
		Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
	const whole = (/** @type {any} */ said) =>
		typeof said?.bytes64 === 'string' ? decode(said.bytes64) : said;
	const window = /** @type {any} */ (globalThis);
	window.hearFromApp = (/** @type {number} */ id, /** @type {any} */ message) =>
		callbacks.get(id)?.('message' in message ? { ...message, message: whole(message.message) } : message);
	window.__TAURI_INTERNALS__ = {
		metadata: { currentWindow: { label: 'main' }, currentWebview: { windowLabel: 'main', label: 'main' } },
		transformCallback(/** @type {(message: unknown) => void} */ callback) {
			const id = crypto.getRandomValues(new Uint32Array(1))[0];
			callbacks.set(id, callback);
			return id;
		},
		unregisterCallback: (/** @type {number} */ id) => callbacks.delete(id),
		async invoke(
			/** @type {string} */ command,
			/** @type {any} */ args = {},
			/** @type {any} */ options = {}
		) {
			const plain = args instanceof Uint8Array ? { bytes64: encode(args) } : JSON.parse(JSON.stringify(args));
			const said = await window.askApp(command, plain, options.headers ?? {});
			if (said.failure !== undefined) throw said.failure;
			return whole(said.answer);
		}
	};
}

/**
 * A page of the app that ends with the test, and what stands around it. Without a server it is at its first start.
 * @param {import('node:test').TestContext} t @param {Server} [server]
 * @param {Parameters<typeof open>[1]} [options]
 */
export async function openApp(t, server, options = {}) {
	// Chromium tells of a policy for another scheme's sources, which this page does not have.
	const page = await open(t, { ...PHONE, ...options });
	const app = new App(page);
	if (server) await app.knows(server, 'home');
	const policy = await policyOf();
	await page.context().route(`${ADDRESS}/**`, async (route) => {
		const { pathname } = new URL(route.request().url());
		const wanted = join(BUILD, pathname);
		const file = extname(pathname) && wanted.startsWith(BUILD) ? wanted : join(BUILD, 'index.html');
		const body = await readFile(file).catch(() => undefined);
		if (!body) return route.fulfill({ status: 404 });
		const type = TYPES[/** @type {keyof typeof TYPES} */ (extname(file))] ?? 'application/octet-stream';
		return route.fulfill({ body, headers: { 'content-type': type, 'content-security-policy': policy } });
	});
	await page.exposeFunction(
		'askApp',
		(/** @type {string} */ command, /** @type {any} */ args, /** @type {any} */ headers) =>
			app.answer(command, args, headers)
	);
	await page.addInitScript(internals);
	return { page, app };
}

/** The app's, and as Tauri does it, with the hashes of what is written into the page. */
async function policyOf() {
	const { app } = JSON.parse(await readFile(CONFIGURATION, 'utf8'));
	const html = await readFile(join(BUILD, 'index.html'), 'utf8');
	const inline = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, script]) => script);
	const hashes = inline.map((script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`);
	return app.security.csp.replace("script-src 'self'", ["script-src 'self'", ...hashes].join(' '));
}

/** What stands for the program. */
export class App {
	/** @param {import('playwright-core').Page} page */
	constructor(page) {
		this.page = page;
		/** Everything that was asked, but for what goes to a server. @type {{ command: string, args: any }[]} */
		this.asked = [];
		/** Requests to servers. @type {string[]} */
		this.requests = [];
		/** @type {Known[]} */
		this.servers = [];
		/** Servers that can be found, by what is typed or scanned. @type {Map<string, { server: Server, fingerprint: string | null }>} */
		this.findable = new Map();
		/** What the camera sees. @type {string | undefined} */
		this.code = undefined;
		/** Nobody answers. */
		this.away = false;
		/** The system stopped the app, which nobody looks at: what a stream says is not heard, and is the last of it. */
		this.frozen = false;
		/** What was asked for by the streams that ended so. @type {string[]} */
		this.lost = [];
		/** How each device is reached. @type {Commands.DevicePath} */
		this.path = {
			kind: 'lan',
			end_to_end: true,
			address: '192.168.1.20:41641',
			latency_ms: 0.4,
			level: 'operate',
			trouble: null
		};
		/** Answers in place of the stand-in's own. @type {Record<string, (args: any) => any>} */
		this.instead = {};
		this.phone = {
			phone: true,
			knows_person: true,
			checks: { at_start: false, before_acts: false },
			locked: false
		};
		/** The person's finger is taken. */
		this.isPerson = true;
		this.notices = {
			available: false,
			by: null,
			buttons: true,
			unasked: true,
			choice: {
				on: true,
				kinds: ['offline', 'task_failed', 'gpu_memory'],
				muted: /** @type {string[]} */ ([]),
				quiet: /** @type {{ from: number, to: number } | null} */ (null)
			}
		};
		/**
		 * Other apps that bring messages while this one is closed; nothing on an iPhone, where Apple does.
		 * @type {Commands.Distributor[] | null}
		 */
		this.distributors = [];
		/** What Apple knows this app by, on an iPhone. */
		this.token = 'ab'.repeat(32);
		/** Where they go then, as the one that brings them says. */
		this.endpoint = '';
		/** What is registered with one of them. @type {Commands.PushRegistration | null} */
		this.registration = null;
		/** The person allows them when the system asks. */
		this.allowsNotices = true;
		this.preferences = {
			choice: { start_at_login: false, background: false, shortcut: false },
			tray: false,
			keys: ''
		};
		/** @type {any[]} */
		this.signIns = [];
		/** @type {any[]} */
		this.waiting = [];
		/** Sealed by a keychain that a file took the place of. */
		this.aside = { changes: 0, drafts: 0 };
		/** @type {any[]} */
		this.saves = [];
		/** Channels by what is told in them; of each how many messages it had. @type {Map<string, { id: number, count: number }>} */
		this.channels = new Map();
		/** @type {Map<number, AbortController>} */
		this.streams = new Map();
		this.next = 1;
		/** @type {((allowed: boolean) => void) | undefined} */
		this.allow = undefined;
	}

	/** As at first. */
	reset() {
		Object.assign(this, new App(this.page));
	}

	/** @param {Server} server @param {string} name */
	async knows(server, name) {
		await server.api('/api/v1/session').catch(() => undefined);
		const known = {
			id: `server-${this.servers.length + 1}`,
			name,
			address: server.url,
			bearer: server.bearer ?? ''
		};
		this.servers = [
			...this.servers.map((one) => ({ ...one, selected: false })),
			{ ...known, selected: true }
		];
		return known.id;
	}

	get shown() {
		return this.servers.find(({ selected }) => selected);
	}

	/** What was asked by this name, the oldest first. @param {string} command */
	of(command) {
		return this.asked.filter((one) => one.command === command).map(({ args }) => args);
	}

	/** What was felt. */
	get felt() {
		return this.of('tick').map(({ tick }) => tick);
	}

	/** Opens one of its pages. @param {string} path */
	go(path) {
		return this.page.goto(ADDRESS + path);
	}

	/** Says something to the page, where it listens for it. @param {string} what @param {any} message */
	async tell(what, message) {
		const channel = this.channels.get(what);
		if (!channel) throw new Error(`nobody listens for ${what}`);
		await this.#send(channel, message);
	}

	/** @param {{ id: number, count: number }} channel @param {any} message */
	async #send(channel, message) {
		const numbered = { index: channel.count++, message };
		// A page that went away hears nothing.
		await this.page
			.evaluate(
				([id, said]) => /** @type {any} */ (globalThis).hearFromApp(id, said),
				/** @type {const} */ ([channel.id, numbered])
			)
			.catch(() => {});
	}

	/** @param {string} named as a channel crosses */
	#listener(named, what = '') {
		const channel = { id: Number(named.split(':')[1]), count: 0 };
		if (what) this.channels.set(what, channel);
		return channel;
	}

	/** @param {string} command @param {any} args @param {Record<string, string>} headers */
	async answer(command, args, headers) {
		try {
			if (command === 'ask' && !this.instead.ask) return { answer: await this.#ask(args, headers) };
			if (command === 'open_stream') return { answer: await this.#stream(args, headers) };
			this.asked.push({ command, args });
			const act = this.instead[command] ?? this.#commands[command];
			if (!act) throw failure(`no such command: ${command}`);
			return { answer: (await act(args)) ?? null };
		} catch (thrown) {
			return { failure: thrown instanceof Error ? String(thrown) : thrown };
		}
	}

	/** @param {any} body @param {Record<string, string>} headers @param {AbortSignal} [signal] */
	async #fetch(body, headers, signal) {
		const head = /** @type {Commands.AskHead} */ (JSON.parse(decodeURIComponent(headers['x-foreman-ask'])));
		if (this.phone.locked) throw failure('locked');
		const shown = this.shown;
		if (!shown) throw failure('no_server');
		if (this.away) throw failure('unreachable');
		this.requests.push(`${head.method} ${head.path}`);
		// Only the program has a link of its own to devices; here the server leads there.
		const path = head.device ? `/api/v1/devices/${head.device}/link${head.path}` : head.path;
		const bytes = Buffer.from(body.bytes64, 'base64');
		const answer = await fetch(shown.address + path, {
			method: head.method,
			headers: [...head.headers, ['authorization', `Bearer ${shown.bearer}`]],
			body: ['GET', 'HEAD'].includes(head.method) ? undefined : bytes,
			signal
		}).catch(() => {
			throw failure('unreachable');
		});
		return { answer, path, head: { status: answer.status, headers: [...answer.headers] } };
	}

	/** @param {any} body @param {Record<string, string>} headers */
	async #ask(body, headers) {
		const { answer, head } = await this.#fetch(body, headers);
		const said = Buffer.from(JSON.stringify(head));
		const length = Buffer.alloc(4);
		length.writeUInt32BE(said.length);
		return {
			bytes64: Buffer.concat([length, said, Buffer.from(await answer.arrayBuffer())]).toString('base64')
		};
	}

	/** @param {any} body @param {Record<string, string>} headers */
	async #stream(body, headers) {
		const end = new AbortController();
		const number = this.next++;
		this.streams.set(number, end);
		const { answer, path, head } = await this.#fetch(body, headers, end.signal);
		const pieces = this.#listener(headers['x-foreman-pieces']);
		const pour = async () => {
			for await (const piece of /** @type {any} */ (answer.body ?? [])) {
				if (this.frozen) return void this.lost.push(path);
				await this.#send(pieces, { bytes64: Buffer.from(piece).toString('base64') });
			}
			await this.#send(pieces, { failure: null });
		};
		void pour().catch(() =>
			this.#send(pieces, { failure: end.signal.aborted ? null : failure('unreachable') })
		);
		return { number, answer: head };
	}

	/** The servers go away, or come back. @param {boolean} away */
	async cut(away) {
		this.away = away;
		if (away) for (const stream of this.streams.values()) stream.abort();
		if (!away && this.channels.has('waiting')) await this.tell('waiting', this.waiting);
	}

	/** @param {boolean} right */
	#person(right = this.isPerson) {
		if (!right) throw failure('not_theirs');
	}

	/** Someone new is signed in to what stands behind an address. @param {string} address */
	async #enter(address) {
		const { server } = [...this.findable.values()].find(({ server }) => server.url === address) ?? {};
		if (!server) throw failure('unreachable');
		const allowed = await new Promise((decide) => (this.allow = decide));
		if (!allowed) throw failure('sign_in_denied');
		return this.knows(server, new URL(address).host);
	}

	/** @type {Record<string, (args: any) => any>} */
	#commands = {
		begin: ({ news }) => void this.#listener(news, 'news'),
		close_stream: ({ number }) => this.streams.get(number)?.abort(),
		open_outside: () => {},
		kept_output: () => null,
		watch_path: ({ news }) => {
			void this.#send(this.#listener(news), this.path);
			return this.next++;
		},
		owner_key: () => 'ed25519:stand-in',
		drafts: () => ({ server: this.shown?.id ?? '', drafts: [] }),
		keep_draft: () => {},

		servers: () => ({
			servers: this.servers.map(({ id, name, address, selected }) => ({
				id,
				name,
				address,
				selected,
				runs_here: false
			})),
			this_computer: false
		}),
		look_at_server: async ({ text }) => {
			const found = this.findable.get(text);
			if (!found) throw failure(/^\S+\.\S+$/.test(text) ? 'unreachable' : 'not_an_address');
			const { server, fingerprint } = found;
			const { needed } = await (await fetch(`${server.url}/api/v1/setup`)).json();
			return /** @type {Commands.ServerPreview} */ ({
				address: server.url,
				host: new URL(server.url).host,
				reading: fingerprint ? 'encrypted' : 'anybody',
				fingerprint,
				as_linked: text.includes('fingerprint='),
				needs_setup: needed
			});
		},
		sign_in: async ({ address, code }) => {
			const page = `${address}/link`;
			await this.#send(this.#listener(code), { user_code: 'WDJB-MJHT', page, expires_in: 600 });
			return this.#enter(address);
		},
		sign_in_by_browser: ({ address }) => this.#enter(address),
		open_sign_in_page: () => {},
		stop_sign_in: () => {},
		select_server: ({ id }) => {
			this.servers = this.servers.map((one) => ({ ...one, selected: one.id === id }));
			return true;
		},
		rename_server: ({ id, name }) => {
			this.servers = this.servers.map((one) => (one.id === id ? { ...one, name } : one));
		},
		leave_server: ({ id, forget }) => {
			this.servers = forget
				? this.servers.filter((one) => one.id !== id)
				: this.servers.map((one) => (one.id === id ? { ...one, bearer: '' } : one));
			return true;
		},

		phone: () => this.phone,
		tick: () => {},
		choose_person_checks: ({ checks }) => {
			this.#person();
			this.phone.checks = checks;
		},
		ask_person: () => this.#person(),
		unlock: () => {
			this.#person();
			this.phone.locked = false;
		},
		lock: () => (this.phone.locked ||= this.phone.checks.at_start),
		push_state: () => ({ distributors: this.distributors, mine: this.registration }),
		register_push: ({ distributor }) => {
			const known = this.registration?.target;
			const keys = known?.kind === 'unified_push' ? known : subscription();
			const target = this.distributors
				? { ...keys, kind: /** @type {const} */ ('unified_push'), endpoint: this.endpoint }
				: { kind: /** @type {const} */ ('apns'), token: this.token, mark: 'c0ffee' };
			return (this.registration = { distributor, target });
		},
		unregister_push: () => void (this.registration = null),
		'plugin:barcode-scanner|request_permissions': () => ({
			camera: this.code === undefined ? 'denied' : 'granted'
		}),
		'plugin:barcode-scanner|scan': () => ({ content: this.code }),
		'plugin:app|register_listener': ({ event, handler }) => void this.#listener(handler, event),
		'plugin:app|exit': () => {},

		notices: () => this.notices,
		choose_notices: ({ choice }) => void (this.notices.choice = choice),
		try_notice: () => {
			this.notices.available ||= this.notices.unasked && this.allowsNotices;
			this.notices.unasked = false;
			if (!this.notices.available) throw failure('no_notifications');
		},
		speak: () => {},
		preferences: () => this.preferences,
		choose_preferences: ({ choice }) => (this.preferences = { ...this.preferences, choice }),
		app_facts: () => ({ version: '0.1.0', protocol_version: 1, system: 'android aarch64', updates: false }),

		provider_sign_ins: () => this.signIns,
		begin_provider_sign_in: async ({ steps }) => {
			const page = 'https://github.com/login/device';
			await this.#send(this.#listener(steps), {
				kind: 'code',
				user_code: 'A1B2-C3D4',
				page,
				expires_in: 900
			});
			await new Promise((decide) => (this.allow = decide));
		},
		open_provider_page: () => {},
		cancel_provider_sign_in: () => this.allow?.(false),
		configure_provider: () => {},
		forget_provider: () => {},
		open_secret_file: () => {},

		watch_queue: ({ news }) => {
			void this.#send(this.#listener(news, 'waiting'), this.waiting);
			return this.next++;
		},
		aside: () => this.aside,
		take_in_aside: () => (this.aside = { changes: 0, drafts: 0 }),
		drop_aside: () => void (this.aside = { changes: 0, drafts: 0 }),
		queue_change: async ({ change }) => {
			this.waiting = [...this.waiting, { ...change, place: this.next++, at: Date.now(), refused: null }];
			await this.tell('waiting', this.waiting);
		},
		drop_change: async ({ place }) => {
			this.waiting = this.waiting.filter((one) => one.place !== place);
			await this.tell('waiting', this.waiting);
		},
		retry_change: () => {},

		watch_saves: ({ news }) => {
			void this.#send(this.#listener(news, 'saves'), this.saves);
			return this.next++;
		},
		begin_save: async ({ head, name }) => {
			const number = this.next++;
			const shown = /** @type {Known} */ (this.shown);
			const path = head.device ? `/api/v1/devices/${head.device}/link${head.path}` : head.path;
			const answer = await fetch(shown.address + path, {
				headers: { authorization: `Bearer ${shown.bearer}` }
			});
			const received = (await answer.arrayBuffer()).byteLength;
			this.saves = [
				...this.saves,
				{ number, name: name ?? '', received, total: received, state: { kind: 'done' } }
			];
			await this.tell('saves', this.saves);
			return number;
		},
		show_save: () => {},
		remove_save: async ({ number }) => {
			this.saves = this.saves.filter((one) => one.number !== number);
			await this.tell('saves', this.saves);
		}
	};
}

/** The keys that a server seals for. */
function subscription() {
	const pair = createECDH('prime256v1');
	return { p256dh: pair.generateKeys('base64url'), auth: randomBytes(16).toString('base64url') };
}

/** Those that came with the app, and what is chosen of each. @param {Record<string, Partial<Commands.ProviderSignIn>>} [more] */
export async function shippedSignIns(more = {}) {
	const all = /** @type {any[]} */ (JSON.parse(await readFile(DEFINITIONS, 'utf8')));
	return all.map(({ id, name, terms, oauth, on_device, api_key, vault }) => ({
		id,
		name,
		terms: terms !== undefined,
		configured: false,
		shipped: true,
		state: 'signed_out',
		under_way: false,
		signed_in_at: null,
		expires_at: null,
		renews: false,
		in_vault_of: null,
		in_vault_here: false,
		fits_vault: vault !== undefined,
		api_key: api_key !== undefined,
		on_device: on_device ? { status: null, ...on_device } : null,
		configuration: {
			id,
			name,
			flow: oauth.flow,
			issuer: '',
			authorization_endpoint: '',
			device_authorization_endpoint: oauth.device_authorization_endpoint ?? '',
			token_endpoint: oauth.token_endpoint ?? '',
			revocation_endpoint: '',
			client_id: '',
			scopes: (oauth.scopes ?? []).join(' '),
			api_address: ''
		},
		...more[id]
	}));
}
