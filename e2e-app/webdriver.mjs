// @ts-check
// The little of WebDriver that the journeys need, spoken directly: a session, finding things by what they say, and
// waiting for them.

/** How long something may take to appear, ms. */
const PATIENCE = 30_000;
const PACE = 100;
/** A script that a page takes with it when it goes is answered by nobody: then it is asked again. ms */
const SCRIPT_LIMIT = 1_500;

export class Window {
	/** @param {string} driver @param {string} session */
	constructor(driver, session) {
		this.base = `${driver}/session/${session}`;
	}

	/** Opens the app in a session of its own. @param {string} driver @param {string} application @param {string[]} [args] */
	static async open(driver, application, args = []) {
		const options = { application, args };
		const capabilities = { alwaysMatch: { browserName: 'wry', 'tauri:options': options } };
		const { sessionId } = await ask('POST', `${driver}/session`, { capabilities });
		const window = new Window(driver, sessionId);
		await window.call('POST', '/timeouts', { script: SCRIPT_LIMIT, pageLoad: PATIENCE });
		return window;
	}

	/** @param {string} method @param {string} path @param {object} [body] */
	call(method, path, body) {
		return ask(method, this.base + path, body);
	}

	/** Runs in the page. @param {string} body @param {...any} args */
	run(body, ...args) {
		return this.call('POST', '/execute/sync', { script: body, args });
	}

	/** Until `body` gives something true in the page; a page that is being left has nothing. @param {string} body @param {...any} args */
	async until(body, ...args) {
		return this.wait(() => this.run(body, ...args).catch(() => undefined), body, args);
	}

	/** @template T @param {() => Promise<T>} look @param {string} what @param {any[]} [args] */
	async wait(look, what, args = []) {
		const end = Date.now() + PATIENCE;
		for (;;) {
			const found = await look();
			if (found) return found;
			if (Date.now() > end) {
				const text = await this.run('return location.href + "\\n" + document.body.innerText').catch(String);
				console.error(text);
				throw new Error(`never came: ${what} ${JSON.stringify(args)}\nThe window shows:\n${text}`);
			}
			await new Promise((on) => setTimeout(on, PACE));
		}
	}

	/** Waits until a text can be read. @param {string} text */
	text(text) {
		return this.until('return document.body.innerText.includes(arguments[0])', text);
	}

	/** Waits for a button or a link by its name and presses it as a pointer does. @param {string} name */
	async press(name) {
		const element = await this.until(
			`const named = (it) => (it.getAttribute('aria-label') ?? it.textContent).replace(/\\s+/g, ' ').trim();
			const all = [...document.querySelectorAll('button, a, [role=menuitem], [role=tab]')];
			const seen = all.filter((it) => it.checkVisibility() && !it.disabled);
			return seen.find((it) => named(it) === arguments[0]) ?? seen.find((it) => named(it).startsWith(arguments[0]));`,
			name
		);
		await this.call('POST', `/element/${idOf(element)}/click`, {});
	}

	/** Types into the field with this label. @param {string} label @param {string} text */
	async fill(label, text) {
		const field = await this.until(
			`const label = [...document.querySelectorAll('label')].find((it) => it.textContent.trim() === arguments[0]);
			return label && document.getElementById(label.htmlFor);`,
			label
		);
		await this.call('POST', `/element/${idOf(field)}/clear`, {});
		await this.call('POST', `/element/${idOf(field)}/value`, { text });
	}

	/** Presses the box with this label. @param {string} label */
	async check(label) {
		const box = await this.until(
			`const label = [...document.querySelectorAll('label')].find((it) => it.textContent.trim() === arguments[0]);
			const box = label && document.getElementById(label.htmlFor);
			box?.scrollIntoView({ block: 'center' });
			return box;`,
			label
		);
		await this.call('POST', `/element/${idOf(box)}/click`, {});
	}

	/** Keys, to whatever has the focus. @param {string} text */
	async keys(text) {
		const actions = [...text].flatMap((value) => [
			{ type: 'keyDown', value },
			{ type: 'keyUp', value }
		]);
		await this.call('POST', '/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
	}

	/** Goes to a page and waits until it is there. @param {string} path */
	async go(path) {
		await this.run('location.assign(arguments[0])', path).catch(() => undefined);
		await this.until(
			"return location.pathname === arguments[0] && document.readyState === 'complete' && !!document.querySelector('main')",
			path
		);
	}

	close() {
		return this.call('DELETE', '');
	}
}

/** @param {Record<string, string>} element */
const idOf = (element) => Object.values(element)[0];

/** @param {string} method @param {string} url @param {object} [body] */
async function ask(method, url, body) {
	if (process.env.FOREMAN_TRACE) console.error(method, url.slice(60), JSON.stringify(body));
	const response = await fetch(url, {
		method,
		headers: { 'content-type': 'application/json' },
		body: body && JSON.stringify(body),
		signal: AbortSignal.timeout(PATIENCE)
	});
	const { value } = /** @type {any} */ (await response.json());
	if (!response.ok) throw new Error(`${method} ${url}: ${value?.error}: ${value?.message}`);
	return value;
}
