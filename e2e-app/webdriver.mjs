// @ts-check
// The little of WebDriver that the journeys need, spoken directly: a session, finding things by what they say, and
// waiting for them.

/** How long something may take to appear, ms. */
const PATIENCE = 30_000;
const PACE = 100;
/** A script that a page takes with it when it goes is answered by nobody: then it is asked again. ms */
export const SCRIPT_LIMIT = 1_500;
/** How long an app may take to start, ms. */
const START = 90_000;

/** What a driver says of an element that was drawn anew, moved or covered in the moment it was to be used. */
const MOVED =
	/^(stale element reference|no such element|element not interactable|element click intercepted)$/;

export class Window {
	/** @param {string} driver @param {string} session */
	constructor(driver, session) {
		this.base = `${driver}/session/${session}`;
	}

	/** Opens the app in a session of its own. @param {string} driver @param {string} application @param {string[]} [args] */
	static async open(driver, application, args = []) {
		const options = { application, args };
		const capabilities = { alwaysMatch: { browserName: 'wry', 'tauri:options': options } };
		const { sessionId } = await ask('POST', `${driver}/session`, { capabilities }, START);
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

	/**
	 * Uses the element that `body` finds in the page once it rests; one that is drawn anew before it could be used is
	 * looked for again.
	 * @param {string} body @param {string} name @param {(path: string) => Promise<unknown>} use
	 */
	async #with(body, name, use) {
		const find = `const found = (function () { ${body} }).apply(undefined, arguments);
			if (!found) return undefined;
			const { x, y, width, height } = found.getBoundingClientRect();
			const at = [x, y, width, height].join();
			const rests = found.foremanWasAt === at;
			found.foremanWasAt = at;
			return rests ? found : undefined;`;
		await this.wait(
			async () => {
				const found = await this.run(find, name).catch(() => undefined);
				if (!found) return false;
				try {
					await use(`/element/${idOf(found)}`);
					return true;
				} catch (failure) {
					if (failure instanceof Refused && MOVED.test(failure.code)) return false;
					throw failure;
				}
			},
			body,
			[name]
		);
	}

	/** Waits for a button or a link by its name and presses it as a pointer does. @param {string} name */
	async press(name) {
		await this.#with(
			`const named = (it) => (it.getAttribute('aria-label') ?? it.textContent).replace(/\\s+/g, ' ').trim();
			const all = [...document.querySelectorAll('button, a, [role=menuitem], [role=tab]')];
			const seen = all.filter((it) => it.checkVisibility() && !it.disabled);
			return seen.find((it) => named(it) === arguments[0]) ?? seen.find((it) => named(it).startsWith(arguments[0]));`,
			name,
			(element) => this.call('POST', `${element}/click`, {})
		);
	}

	/** Presses a button of the dialog: the page behind may have one of this name too. @param {string} name */
	async pressInDialog(name) {
		await this.until(
			`const button = [...document.querySelectorAll('[role=dialog] button')].find((it) => it.textContent.trim() === arguments[0]); button?.click(); return !!button;`,
			name
		);
	}

	/** Types into the field with this label. @param {string} label @param {string} text */
	async fill(label, text) {
		await this.#with(
			`const label = [...document.querySelectorAll('label')].find((it) => it.textContent.trim() === arguments[0]);
			return label && document.getElementById(label.htmlFor);`,
			label,
			async (field) => {
				await this.call('POST', `${field}/clear`, {});
				await this.call('POST', `${field}/value`, { text });
			}
		);
	}

	/** Presses the box with this label. @param {string} label */
	async check(label) {
		await this.#with(
			`const label = [...document.querySelectorAll('label')].find((it) => it.textContent.trim() === arguments[0]);
			const box = label && document.getElementById(label.htmlFor);
			box?.scrollIntoView({ block: 'center' });
			return box;`,
			label,
			(box) => this.call('POST', `${box}/click`, {})
		);
	}

	/** Keys, to whatever has the focus. @param {string} text */
	async keys(text) {
		const actions = [...text].flatMap((value) => [
			{ type: 'keyDown', value },
			{ type: 'keyUp', value }
		]);
		await this.call('POST', '/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
	}

	/** Goes to a page and waits until it is there: not the one that is left, which may be at the same address. @param {string} path */
	async go(path) {
		await this.run('window.foremanLeaves = true; location.assign(arguments[0])', path).catch(() => undefined);
		await this.until(
			"return !window.foremanLeaves && location.pathname === arguments[0] && document.readyState === 'complete' && !!document.querySelector('main')",
			path.split('?')[0]
		);
	}

	close() {
		return this.call('DELETE', '');
	}
}

/** @param {Record<string, string>} element */
const idOf = (element) => Object.values(element)[0];

/** The driver's no, with its word for why. */
class Refused extends Error {
	/** @param {string} asked @param {{ error?: string, message?: string } | undefined} value */
	constructor(asked, value) {
		super(`${asked}: ${value?.error}: ${value?.message}`);
		this.code = value?.error ?? '';
	}
}

/** @param {string} method @param {string} url @param {object} [body] */
async function ask(method, url, body, patience = PATIENCE) {
	if (process.env.FOREMAN_TRACE) console.error(method, url.slice(60), JSON.stringify(body));
	const response = await fetch(url, {
		method,
		headers: { 'content-type': 'application/json' },
		body: body && JSON.stringify(body),
		signal: AbortSignal.timeout(patience)
	});
	const { value } = /** @type {any} */ (await response.json());
	if (!response.ok) throw new Refused(`${method} ${url}`, value);
	return value;
}
