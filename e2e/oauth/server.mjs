// @ts-check
// A real OAuth server for tests, with a browser of its own that is told by lines on standard input what to do:
// `open URL` (signs in and allows) answers `returned URL`, `code CODE` allows a device code, `deny CODE` refuses it.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

/** Seconds that an access token lives. */
const LIFE = Number(process.argv[2] ?? 3600);

// Standard output is for answers.
console.info = console.error;

const server = createServer();
await new Promise((on) => server.listen(0, '127.0.0.1', () => on(undefined)));
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
	clients: [
		{
			client_id: 'foreman-app',
			application_type: 'native',
			token_endpoint_auth_method: 'none',
			grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
			response_types: ['code'],
			redirect_uris: ['foreman://provider-signed-in']
		}
	],
	features: {
		deviceFlow: { enabled: true },
		revocation: { enabled: true },
		devInteractions: { enabled: true }
	},
	// A refresh token is worth something once.
	rotateRefreshToken: true,
	ttl: {
		AccessToken: LIFE,
		DeviceCode: 600,
		Grant: 86_400,
		RefreshToken: 86_400,
		Session: 86_400,
		Interaction: 600
	},
	cookies: { keys: ['a key of the test'] }
});
provider.on('server_error', (_ctx, error) => console.error(error));
server.on('request', provider.callback());

/** A browser: cookies, redirects, and forms that are sent as they are, filled in. */
class Browser {
	#cookies = new Map();

	/** @param {string} url @param {Record<string, string>} [form] @returns {Promise<{ url: string, text: string }>} */
	async go(url, form) {
		if (!url.startsWith('http')) return { url, text: '' };
		const answer = await fetch(url, {
			method: form ? 'POST' : 'GET',
			redirect: 'manual',
			headers: { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
			body: form && new URLSearchParams(form)
		});
		for (const cookie of answer.headers.getSetCookie()) {
			const [, name, value] = /** @type {RegExpMatchArray} */ (cookie.match(/^([^=]+)=([^;]*)/));
			if (value) this.#cookies.set(name, value);
			else this.#cookies.delete(name);
		}
		const location = answer.headers.get('location');
		if (location) return this.go(URL.canParse(location) ? location : new URL(location, url).href);
		return { url, text: await answer.text() };
	}

	/** Sends the first form of a page. @param {{ url: string, text: string }} page @param {Record<string, string>} filled */
	send({ url, text }, filled) {
		const [form] = text.match(/<form[\s\S]*?<\/form>/) ?? [''];
		const action = form.match(/action="([^"]+)"/)?.[1] ?? url;
		/** @type {Record<string, string>} */
		const fields = {};
		for (const [input] of form.matchAll(/<input[^>]*>/g)) {
			const name = input.match(/name="([^"]+)"/)?.[1];
			if (name) fields[name] = input.match(/value="([^"]*)"/)?.[1] ?? '';
		}
		return this.go(new URL(action, url).href, { ...fields, ...filled });
	}

	/** Signs in and allows, page by page. @param {{ url: string, text: string }} page */
	async allow(page) {
		for (let pages = 0; pages < 6 && page.text.includes('<form'); pages++) {
			const login = page.text.includes('name="login"');
			page = await this.send(page, login ? { login: 'mia', password: 'any' } : {});
		}
		return page;
	}

	/** @param {string} code @param {boolean} allowed */
	async decide(code, allowed) {
		const page = await this.send(await this.go(`${issuer}/device`), { user_code: code });
		if (!allowed) return this.send(page, { abort: 'yes' });
		return this.allow(await this.send(page, { confirm: 'yes' }));
	}
}

/** @param {string} line */
async function obey(line) {
	const [what, about] = line.split(' ');
	if (what === 'open') {
		const browser = new Browser();
		return `returned ${(await browser.allow(await browser.go(about))).url}`;
	}
	await new Browser().decide(about, what === 'code');
	return 'decided';
}

createInterface({ input: process.stdin })
	.on('line', (line) => {
		obey(line).then(console.log, (error) => console.log(`failed ${error.message}`));
	})
	.on('close', () => process.exit(0));
console.log(`listening on ${issuer}`);
