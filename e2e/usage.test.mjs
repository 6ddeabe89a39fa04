// @ts-check
// What models were used for: the numbers of the page are those of what was asked, by whatever they are added up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, signIn } from './browser.mjs';
import { Ollama } from './ollama.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { say } from './words.mjs';

for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`usage by model, device, provider and key is what was asked (${size})`, async (t) => {
		const ollama = await new Ollama().start(t);
		await ollama.says('one two three');
		process.env.OLLAMA_HOST = ollama.host;
		const { server } = await stack(t, { device: 'home-server' });
		const base_url = await vendor(t, 'small', 'fails-now');
		await server.api('/api/v1/providers', { json: { kind: 'openai_compatible', name: 'lab', base_url } });
		await eventually(async () => (await server.api('/api/v1/models')).items.length === 3);
		// A cent a token.
		const price = { input_micros: 1e10, output_micros: 1e10, cached_micros: 1e10 };
		await server.api('/api/v1/models/lab/small', { method: 'PATCH', json: { price, enabled: true } });
		const { items: providers } = await server.api('/api/v1/providers');
		const home = providers.find((/** @type {any} */ one) => one.kind === 'ollama').name;

		/** @type {Record<string, string>} */
		const secrets = {};
		for (const name of ['laptop', 'nightly'])
			secrets[name] = (await server.api('/api/v1/model-keys', { json: { name } })).secret;
		/** What the models themselves say that they used. @type {Record<string, { in: number, out: number }>} */
		const used = {};
		const ask = async (/** @type {string} */ key, /** @type {string} */ model) => {
			const answered = await fetch(`${server.url}/v1/chat/completions`, {
				method: 'POST',
				headers: { authorization: `Bearer ${secrets[key]}`, 'content-type': 'application/json' },
				body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] })
			});
			const { usage } = await answered.json();
			for (const name of [key, model]) {
				const sum = (used[name] ??= { in: 0, out: 0 });
				sum.in += usage?.prompt_tokens ?? 0;
				sum.out += usage?.completion_tokens ?? 0;
			}
		};
		const local = `${home}/llama3.2:latest`;
		for (const key of ['laptop', 'laptop', 'nightly']) await ask(key, 'lab/small');
		for (const key of ['laptop', 'nightly']) await ask(key, local);
		await ask('nightly', 'lab/fails-now');
		await eventually(async () => (await server.api('/api/v1/usage')).total.requests === 6);

		const page = await open(t, shape);
		await signIn(page, server);
		await page.goto(`${server.url}/models/usage`);
		/** How long it took, as the table says it: to the first token, and to the whole answer. @type {Record<string, string[]>} */
		const times = {};
		/** The table as it is shown: requests, in, out and cost by name. */
		const table = async (/** @type {string} */ by) => {
			await page.getByLabel(say('usage_by_label'), { exact: true }).selectOption(by);
			await page.getByRole('columnheader', { name: say(`usage_by_${by}`), exact: true }).waitFor();
			const rows = await page
				.getByRole('row')
				.evaluateAll((all) =>
					all
						.slice(1)
						.map((row) =>
							[...row.children].map((cell) => cell.textContent?.replace(/\s+/g, ' ').trim() ?? '')
						)
				);
			for (const [name, , , , , first, whole] of rows) times[name] = [first, whole];
			return Object.fromEntries(
				rows.map(([name, requests, sent, came, , , , cost]) => [name, [requests, sent, came, cost]])
			);
		};
		const of = (/** @type {string} */ name) => [String(used[name].in), String(used[name].out)];
		const small = used['lab/small'];
		const spent = `$${((small.in + small.out) / 100).toFixed(2)}`;
		const free = '$0.00';
		const failed = `1 ${say('usage_failed_count', { count: 1 })}`;

		const byModel = await table('model');
		assert.deepEqual(byModel['lab/small'], ['3', ...of('lab/small'), spent]);
		assert.deepEqual(byModel[local], ['2', ...of(local), free]);
		assert.deepEqual(byModel['lab/fails-now'].slice(0, 3), [failed, '0', '0']);
		assert.deepEqual((await table('device'))['home-server'], ['2', ...of(local), free]);
		const byProvider = await table('provider');
		assert.deepEqual(byProvider[home], ['2', ...of(local), free]);
		assert.deepEqual(byProvider.lab.slice(1), [...of('lab/small'), spent]);
		const byKey = await table('key');
		assert.deepEqual(byKey.laptop.slice(0, 3), ['3', ...of('laptop')]);
		assert.deepEqual(byKey.nightly.slice(1, 3), of('nightly'));
		for (const name of ['lab/small', local, 'home-server', home, 'laptop'])
			for (const time of times[name]) assert.match(time, /^\d[\d.,]*\s?(ms|s)$/, name);
		// And all together.
		const total = page.getByRole('main').getByText(spent, { exact: true });
		await total.first().waitFor();
	});
}
