// @ts-check
// What models were used for: the numbers of the page are those of what was asked, by whatever they are added up.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { DESKTOP, PHONE, open, settled, signIn, violations } from './browser.mjs';
import { clock } from './clock.mjs';
import { CENT, ask, dollars, priced, withProvider } from './lab.mjs';
import { Ollama } from './ollama.mjs';
import { eventually, stack, vendor } from './stack.mjs';
import { say } from './words.mjs';

const DAY_MS = 86_400_000;

/** The cells of the table's rows. @param {import('playwright-core').Page} page @returns {Promise<string[][]>} */
const cells = (page) =>
	page
		.getByRole('row')
		.evaluateAll((all) =>
			all
				.slice(1)
				.map((row) => [...row.children].map((cell) => cell.textContent?.replace(/\s+/g, ' ').trim() ?? ''))
		);

/** Adds up by this. @param {import('playwright-core').Page} page @param {string} by */
async function addUp(page, by) {
	await page.getByLabel(say('usage_by_label'), { exact: true }).selectOption(by);
	await page.getByRole('columnheader', { name: say(`usage_by_${by}`), exact: true }).waitFor();
}

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
			await addUp(page, by);
			const rows = await cells(page);
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

test('what came from a cache and each day count by themselves, on the page and in the file', async (t) => {
	const time = await clock(t);
	if (!time) return;
	const base = await vendor(t, 'small', 'large');
	const { server } = await stack(t, { env: time.env });
	await withProvider(server, base);
	const price = { ...CENT, cached_micros: 1_000_000_000 };
	for (const model of ['small', 'large']) await priced(server, model, price);
	/** @type {Record<string, string>} */
	const secrets = {};
	for (const json of [{ name: 'web', project: 'website' }, { name: 'spare' }])
		secrets[json.name] = (await server.api('/api/v1/model-keys', { json })).secret;

	/** What the vendor says: requests, in, out, cached; by what it is added up. @type {Record<string, number[]>} */
	const used = {};
	const use = async (/** @type {string} */ key, /** @type {string} */ model, ...names) => {
		const { usage } = await (await ask(server, secrets[key], model)).json();
		const { cached_tokens: cached } = usage.prompt_tokens_details;
		assert.ok(cached > 0 && cached < usage.prompt_tokens);
		for (const name of ['all', key, model, ...names]) {
			const sum = (used[name] ??= [0, 0, 0, 0]);
			[1, usage.prompt_tokens, usage.completion_tokens, cached].forEach((more, at) => (sum[at] += more));
		}
		await eventually(async () => (await server.api('/api/v1/usage')).total.requests === used.all[0]);
	};
	/** As the row shows it; what is cached costs a tenth. @param {string} name */
	const row = (name) => {
		const [requests, sent, came, cached] = used[name];
		const cost = (sent - cached + came) * 10_000 + cached * 1_000;
		return [...[requests, sent, came, cached].map(String), dollars(cost)];
	};
	await use('web', 'lab/small', 'first', 'website');
	await use('web', 'lab/large', 'first', 'website');
	const first = new Date().toISOString().slice(0, 10);
	time.set('+1d');
	await use('spare', 'lab/small', 'second');
	const second = new Date(Date.now() + DAY_MS).toISOString().slice(0, 10);

	const page = await open(t, { acceptDownloads: true });
	await signIn(page, server);
	await page.goto(`${server.url}/models/usage`);
	// By the server's clock: the page learns of its day a moment later.
	await page.getByText(say('usage_cached', { tokens: used.all[3] })).waitFor();
	/** Names of the columns, and the rows without how long it took. @param {string} by */
	const table = async (by) => {
		await addUp(page, by);
		const rows = await cells(page);
		return Object.fromEntries(
			rows.map(([name, requests, sent, came, cached, , , cost]) => [
				name,
				[requests, sent, came, cached, cost]
			])
		);
	};
	const columns = await page.getByRole('columnheader').allInnerTexts();
	assert.equal(columns[4], say('usage_cached_column'));
	assert.deepEqual(await table('model'), { 'lab/small': row('lab/small'), 'lab/large': row('lab/large') });
	assert.deepEqual(await table('device'), { [say('usage_no_device')]: row('all') });
	assert.deepEqual(await table('key'), { web: row('web'), spare: row('spare') });
	const nowhere = say('usage_no_project');
	assert.deepEqual(await table('project'), { website: row('website'), [nowhere]: row('spare') });
	const word = (/** @type {string} */ day) =>
		page.evaluate(
			(at) => new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' }).format(at),
			Date.parse(day)
		);
	const days = { [await word(first)]: row('first'), [await word(second)]: row('second') };
	assert.deepEqual(await table('day'), days);

	/** Requests by day in the file that the page leads to. */
	const file = async () => {
		const saving = page.waitForEvent('download');
		await page.getByRole('link', { name: say('usage_csv'), exact: true }).click();
		const [head, ...lines] = (await readFile(await (await saving).path(), 'utf8')).trim().split('\r\n');
		const names = head.split(',');
		return lines.map((line) => {
			const fields = line.split(',');
			const of = (/** @type {string} */ name) => fields[names.indexOf(name)];
			return [of('time').slice(0, 10), of('key'), of('project'), of('model'), of('cached_tokens')];
		});
	};
	const lines = [
		[first, 'web', 'website', 'small', String(used.all[3] / 3)],
		[first, 'web', 'website', 'large', String(used.all[3] / 3)],
		[second, 'spare', '', 'small', String(used.all[3] / 3)]
	];
	assert.deepEqual(await file(), lines);

	// By the server's day it is the second one; the first is found by its date.
	const range = page.getByRole('group', { name: say('usage_range') });
	const only = (/** @type {string} */ day) =>
		eventually(async () => (await cells(page)).map(([name]) => name).join() === day);
	await range.getByText(say('usage_today'), { exact: true }).click();
	await only(await word(second));
	assert.deepEqual(await file(), lines.slice(2));
	await range.getByText(say('usage_custom'), { exact: true }).click();
	// The last day goes along with the first one, and the other way round.
	const [from, to] = ['usage_from', 'usage_to'].map((key) => page.getByLabel(say(key), { exact: true }));
	assert.deepEqual([await from.inputValue(), await to.inputValue()], [second, second]);
	await to.fill(first);
	await only(await word(first));
	assert.deepEqual([await from.inputValue(), await to.inputValue()], [first, first]);
	assert.deepEqual(await file(), lines.slice(0, 2));
	await page.reload();
	await only(await word(first));
	assert.deepEqual((await cells(page))[0].slice(0, 5), [await word(first), ...row('first').slice(0, 4)]);

	// More than is added up at once is said, in place of numbers of other days.
	await from.fill('2020-01-01');
	await page.getByText(say('usage_too_long', { days: 400 })).waitFor();
	assert.equal(await page.getByRole('table').count(), 0);
	await from.fill(first);
	await only(await word(first));
});

for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`who did not answer, why and how often is told (${size})`, async (t) => {
		const { server } = await stack(t);
		for (const [name, ...models] of [
			['lab', 'fails-always'],
			['spare', 'small']
		]) {
			const base_url = await vendor(t, ...models);
			await server.api('/api/v1/providers', { json: { kind: 'openai_compatible', name, base_url } });
		}
		await eventually(async () => (await server.api('/api/v1/models')).items.length === 2);
		const routing = await server.api('/api/v1/routing');
		const order = { order: 'as_listed', models: ['lab/fails-always', 'spare/small'], by_request: false };
		Object.assign(routing.profiles[0], order);
		await server.api('/api/v1/routing', { method: 'PUT', json: routing });
		const { secret } = await server.api('/api/v1/model-keys', { json: { name: 'laptop' } });
		const page = await open(t, { ...shape, acceptDownloads: true });
		await signIn(page, server);
		// With nothing to tell, nothing is told.
		assert.equal((await ask(server, secret, 'spare/small')).status, 200);
		await eventually(async () => (await server.api('/api/v1/usage')).total.requests === 1);
		await page.goto(`${server.url}/models/usage`);
		await page.getByRole('rowheader', { name: 'spare/small' }).waitFor();
		const panel = page.getByRole('region', { name: say('usage_missed'), exact: true });
		assert.equal(await panel.count(), 0);

		// After three failures it is left alone, which is another reason.
		for (let request = 1; request <= 5; request += 1)
			assert.equal((await ask(server, secret, 'auto')).headers.get('x-foreman-provider'), 'spare');
		await eventually(async () => (await server.api('/api/v1/usage')).total.requests === 6);
		await page.reload();
		const reasons = panel.getByRole('listitem');
		await reasons.nth(1).waitFor();
		const told = (/** @type {number} */ count) => say('usage_missed_count', { count });
		const failed = `lab/fails-always: ${say('miss_failed')} (500)`;
		const paused = `lab/fails-always: ${say('miss_paused')}`;
		const said = (await reasons.allInnerTexts()).map((one) => one.replace(/\s+/g, ' '));
		assert.deepEqual(
			said.map((one) => one.split(' · ')[0]),
			[`${failed} ${told(3)}`, `${paused} ${told(2)}`]
		);
		await settled(page);
		assert.deepEqual(await violations(page), []);
		assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);

		const saving = page.waitForEvent('download');
		await page.getByRole('link', { name: say('usage_csv'), exact: true }).click();
		const csv = await readFile(await (await saving).path(), 'utf8');
		assert.equal(csv.match(/,answered,lab\/fails-always: failed \(500\)\r\n/g)?.length, 3, csv);
		assert.equal(csv.match(/,answered,lab\/fails-always: paused after failures\r\n/g)?.length, 2, csv);
	});
}
