// @ts-check
// Chatting: with the model on one's own device, found by itself; with the cloud when that one stops; and through what
// goes wrong on the way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CUT_OFF, DESKTOP, PHONE, settled, violations } from './browser.mjs';
import { answers, ask, begin, question, scene } from './chatting.mjs';
import { Ollama } from './ollama.mjs';
import { eventually, stack } from './stack.mjs';
import { say } from './words.mjs';

/** @typedef {import('playwright-core').Page} Page */

for (const [size, shape] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
	test(`the model on a device is found by itself and answers with no key (${size})`, async (t) => {
		const { ollama, server, page } = await scene(t, shape);
		await ollama.says(
			'Because of **Rayleigh** scattering: $I \\propto \\lambda^{-4}$.\n\n```python\nprint("blue")\n```\n'
		);
		await begin(page, server, 'Why is the sky blue?');
		const answer = answers(page).first();
		await answer.getByText('llama3.2:latest on home-server', { exact: false }).waitFor();
		await answer.getByText(say('chat_because_local'), { exact: false }).first().waitFor();
		await answer.locator('strong', { hasText: 'Rayleigh' }).waitFor();
		await answer.locator('.katex').waitFor();
		await answer.locator('pre span[style*="color"]').first().waitFor();
		await answer.getByText(say('chat_usage_in', { count: 11 }), { exact: false }).waitFor();
		// The title is the question, and it is there after a reload.
		await page.reload();
		await page.getByRole('heading', { name: 'Why is the sky blue?' }).waitFor();
		await answers(page).first().locator('.katex').waitFor();
		await settled(page);
		assert.deepEqual(await violations(page), []);
		const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
		assert.ok(tooWide <= 0, `${tooWide} px too wide`);
	});
}

test('when the local model stops, auto goes to the cloud and says so', async (t) => {
	const { ollama, server, page } = await scene(t);
	const cloud = await new Ollama(['cloud-large']).start(t);
	await cloud.says('From the cloud: {question}');
	await server.api('/api/v1/vault', { json: { password: 'correct horse battery' } });
	await server.api('/api/v1/providers', {
		json: {
			kind: 'openai_compatible',
			name: 'cloud',
			base_url: `http://${cloud.host}/v1`,
			key: 'sk-of-the-test',
			use_for: ['all']
		}
	});
	await begin(page, server, 'first');
	await answers(page).first().getByText('You asked: first').waitFor();
	await ollama.stop();
	await ask(page, 'second');
	const second = answers(page).nth(1);
	await second.getByText('From the cloud: second').waitFor();
	await second
		.getByText(say('chat_model_at', { model: 'cloud-large', provider: 'cloud' }), { exact: false })
		.first()
		.waitFor();
	await second.getByText(say('chat_because_fallback'), { exact: false }).first().waitFor();
	assert.equal((await cloud.asked()).at(-1).messages.length, 3, 'it got the conversation');
});

test('an answer goes on without a reader, and is stopped at the model', async (t) => {
	const { ollama, server, page } = await scene(t);
	await ollama.says('one two three four');
	await ollama.hold(2);
	await begin(page, server, 'count');
	await answers(page).first().getByText('one two').waitFor();
	const { pathname } = new URL(page.url());
	await page.goto('about:blank');
	await ollama.release();
	await page.goto(server.url + pathname);
	await answers(page).first().getByText('one two three four').waitFor();

	await ollama.hold(1);
	await ask(page, 'again');
	await answers(page).nth(1).getByText('one', { exact: true }).waitFor();
	await page.getByRole('button', { name: say('chat_stop') }).click();
	await page.getByText(say('chat_stopped')).waitFor();
	await ollama.givenUp(1);
});

test('questions are edited, answered again and shown by version', async (t) => {
	const { ollama, server, page } = await scene(t);
	await begin(page, server, 'colour');
	await answers(page).first().getByText('You asked: colour').waitFor();
	await page.getByRole('button', { name: say('chat_edit'), exact: true }).click();
	await page.getByRole('textbox', { name: say('chat_edit') }).fill('color');
	await page
		.getByRole('article', { name: say('chat_asked') })
		.getByRole('button', { name: say('chat_send') })
		.click();
	await answers(page).first().getByText('You asked: color', { exact: true }).waitFor();
	await page.getByText('2/2').waitFor();
	await page.getByRole('button', { name: say('chat_version_before') }).click();
	await answers(page).first().getByText('You asked: colour').waitFor();
	await ollama.says('another answer');
	await page.getByRole('button', { name: say('chat_again'), exact: true }).click();
	await answers(page).first().getByText('another answer').waitFor();
	assert.equal((await ollama.asked()).at(-1).messages.length, 1);
});

test('what is typed is kept, waits while offline and goes once', async (t) => {
	const { ollama, server, page } = await scene(t, DESKTOP, CUT_OFF);
	await begin(page, server, 'first');
	await answers(page).first().getByText('You asked: first').waitFor();
	await question(page).fill('half a thought');
	await page.reload();
	await eventually(async () => (await question(page).inputValue()) === 'half a thought');
	await answers(page).first().getByText('You asked: first').waitFor();
	await page.context().setOffline(true);
	await ask(page, 'second');
	await page.getByText(say('chat_waits_offline')).waitFor();
	await ask(page, 'third');
	await page.getByText(say('chat_waits'), { exact: true }).waitFor();
	await page.context().setOffline(false);
	await answers(page).nth(2).getByText('You asked: third').waitFor();
	assert.deepEqual(
		(await ollama.asked()).map((body) => body.messages.at(-1).content),
		['first', 'second', 'third']
	);
});

test('a question waits also where its conversation could not be loaded', async (t) => {
	const { server, page } = await scene(t, DESKTOP, CUT_OFF);
	await begin(page, server, 'first');
	await answers(page).first().getByText('You asked: first').waitFor();
	await page.route('**/api/v1/chats/*', (route) => route.abort());
	await page.reload();
	await page.getByText(say('chat_load_failed')).waitFor();
	await ask(page, 'second');
	await page.getByText(say('chat_waits_offline')).waitFor();
	await page.unroute('**/api/v1/chats/*');
	await page
		.getByRole('button', { name: say('try_again') })
		.first()
		.click();
	await answers(page).nth(1).getByText('You asked: second').waitFor();
});

test('files and pictures go along', async (t) => {
	const { ollama, server, page } = await scene(t);
	const pixel =
		'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
	await page.goto(`${server.url}/chat/new`);
	await page.locator('input[type="file"]').setInputFiles([
		{ name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from(pixel, 'base64') },
		{ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('remember the milk') }
	]);
	await page.getByText('17\u00a0B').waitFor();
	await ask(page, 'look');
	await answers(page).first().getByText('remember the milk').waitFor();
	await page.getByRole('img', { name: 'dot.png' }).waitFor();
	const sent = (await ollama.asked())[0].messages[0].content;
	assert.ok(sent.some((/** @type {any} */ part) => part.image_url?.url.startsWith('data:image/png;base64,')));
});

const ATTACKS = [
	'<script>alert(1)</script>',
	'<img src=x onerror=alert(1)>',
	'<svg/onload=alert(1)>',
	'<iframe srcdoc="<script>alert(1)</script>"></iframe>',
	'[x](javascript:alert(1))',
	'[x](  javascript:alert(1) )',
	'[x](&#106;avascript:alert(1))',
	'[x](jav&#x09;ascript:alert(1))',
	'![x](javascript:alert(1))',
	'![x](https://evil.example/pixel.png)',
	'![x" onerror="alert(1)](https://a.b/c.png)',
	'[x](https://a.b "t\\" onmouseover=\\"alert(1)")',
	'<a href="javascript:alert(1)">x</a>',
	'<javascript:alert(1)>',
	'[ref]\n\n[ref]: javascript:alert(1)',
	'```html\n<script>alert(1)</script>\n```',
	'```"><script>alert(1)</script>\nx\n```',
	'`<script>alert(1)</script>`',
	'| a |\n| - |\n| <img src=x onerror=alert(1)> |',
	'- [ ] <img src=x onerror=alert(1)>',
	'# <style>*{display:none}</style>',
	'<!--><script>alert(1)</script>-->',
	'<form action=https://evil.example><input></form>',
	'<base href=https://evil.example>',
	'<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>',
	'&lt;script&gt;alert(1)&lt;/script&gt;',
	'$\\href{javascript:alert(1)}{x}$',
	'$$\\htmlData{onclick=alert(1)}{x}$$',
	'> <details open ontoggle=alert(1)>',
	'*<b onclick=alert(1)>x</b>*',
	'\u0000<script>alert(1)</script>'
];

test('nothing that a model writes runs or loads', async (t) => {
	const { ollama, server, page } = await scene(t);
	await ollama.says(ATTACKS.join('\n\n'));
	/** @type {string[]} */
	const elsewhere = [];
	page.on('request', (request) => {
		if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(server.url))
			elsewhere.push(request.url());
	});
	page.on('dialog', (dialog) => {
		elsewhere.push(dialog.message());
		void dialog.dismiss();
	});
	await begin(page, server, 'attack');
	await page.getByText(say('chat_usage_in', { count: 11 }), { exact: false }).waitFor();
	await answers(page).first().getByText('<details open ontoggle=alert(1)>').waitFor();
	const found = await answers(page)
		.first()
		.locator('.markdown')
		.evaluate((markdown) =>
			[...markdown.querySelectorAll('*')].flatMap((node) => [
				...(/^(script|img|iframe|style|form|base|details|object|embed|link|meta)$/i.test(node.tagName)
					? [node.tagName]
					: []),
				...[...node.attributes].filter(({ name }) => /^on/i.test(name)).map(({ name }) => name),
				...(node instanceof HTMLAnchorElement && !/^(https?|mailto):/.test(node.href) ? [node.href] : [])
			])
		);
	assert.deepEqual(found, []);
	assert.deepEqual(elsewhere, []);
});

/** How far one scrolls to see how that goes, in steps of a wheel. */
const STEPS = 120;

/**
 * Scrolls up by wheel. Gives what the page's own thread worked for each step, which is the same however busy the machine
 * is, ms; how long frames took; what jumped; and how many blocks of code were drawn at once.
 * @param {Page} page @param {import('playwright-core').Locator} view
 */
async function scrolledUp(page, view) {
	const devtools = await page.context().newCDPSession(page);
	await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
	const worked = async () => {
		const { metrics } = await devtools.send('Performance.getMetrics');
		return 1000 * Number(metrics.find(({ name }) => name === 'TaskDuration')?.value);
	};
	const before = await worked();
	const { frames, jumped } = await view.evaluate(async (node, steps) => {
		const frame = () => new Promise((next) => requestAnimationFrame(next));
		let jumped = 0;
		const observer = new PerformanceObserver((list) => {
			for (const entry of /** @type {any[]} */ (list.getEntries())) jumped += entry.value;
		});
		observer.observe({ type: 'layout-shift', buffered: false });
		/** @type {number[]} */
		const frames = [];
		for (let step = 0; step < steps; step += 1) {
			const start = performance.now();
			node.scrollTop -= 400;
			await frame();
			frames.push(performance.now() - start);
		}
		await frame();
		observer.disconnect();
		return { frames: frames.sort((a, b) => a - b), jumped };
	}, STEPS);
	const work = ((await worked()) - before) / STEPS;
	await devtools.detach();
	const drawn = await view.evaluate((node) => {
		const blocks = [...node.querySelectorAll('.markdown pre')];
		return blocks.filter((block) => block.checkVisibility({ contentVisibilityAuto: true })).length;
	});
	return { work, frames: [60, 113, 119].map((at) => Math.round(frames[at])), jumped, drawn };
}

test('a very long conversation scrolls, and what is read stays where it is', async (t) => {
	const { ollama, server, page } = await scene(t);
	const paragraph = 'The quick brown fox jumps over the lazy dog, again and again. '.repeat(8);
	const part = `${paragraph}\n\n- one\n- two\n\n\`\`\`rust\nfn main() {}\n\`\`\`\n\n`;
	await ollama.says(`# {question}\n\n${part.repeat(110)}`, 4000);
	const view = page.getByRole('region', { name: say('chat_messages') });
	const atEnd = () => view.evaluate((node) => node.scrollHeight - node.scrollTop - node.clientHeight < 60);
	/** A conversation of so many turns, shown at its end. @param {number} turns */
	const talk = async (turns) => {
		const chat = await page.evaluate(async (turns) => {
			const call = async (/** @type {string} */ path, /** @type {object} */ body) =>
				(
					await fetch(path, {
						method: 'POST',
						headers: { 'content-type': 'application/json' },
						body: JSON.stringify(body)
					})
				).json();
			const { id } = await call('/api/v1/chats', { title: `${turns} turns` });
			for (let turn = 1, parent; turn <= turns; turn += 1) {
				const asked = await call(`/api/v1/chats/${id}/ask`, {
					id: crypto.randomUUID(),
					text: `turn ${turn}`,
					parent
				});
				parent = asked.answer.id;
				// The stream ends with the answer.
				await (await fetch(`/api/v1/chats/${id}/messages/${parent}/stream`)).text();
			}
			return id;
		}, turns);
		await page.goto(`${server.url}/chat/${chat}`);
		await answers(page)
			.last()
			.getByRole('heading', { name: `turn ${turns}` })
			.waitFor({ state: 'attached' });
		await eventually(atEnd);
		await view.hover();
		return chat;
	};
	const turns = 14;
	await talk(2);
	const short = await scrolledUp(page, view);
	// Some 800 kB, which is 200,000 tokens.
	const chat = await talk(turns);
	const long = await scrolledUp(page, view);
	for (const [name, { work, frames, jumped, drawn }] of Object.entries({ short, long })) {
		t.diagnostic(
			`${name}: ${work.toFixed(1)} ms of work a step, jumped by ${jumped.toFixed(3)}, ${drawn} blocks`
		);
		t.diagnostic(
			`${name}: frames half ${frames[0]} ms, one of twenty ${frames[1]} ms, longest ${frames[2]} ms`
		);
	}
	assert.ok(
		long.work <= 2 * short.work + 2,
		`${long.work} ms of work a step, ${short.work} where it is short`
	);
	assert.ok(long.work <= 50, `${long.work} ms of work a step`);
	assert.ok(
		long.jumped <= short.jumped + 0.3,
		`what is drawn moves by ${long.jumped}, ${short.jumped} where it is short`
	);
	assert.ok(
		long.drawn > 0 && long.drawn < 40,
		`${long.drawn} blocks of code are drawn at once, of ${turns * 110}`
	);
	// Looked for where it stands: looking through the whole conversation lays all of it out, which takes a minute.
	const below = view.locator('xpath=following-sibling::*');
	const toEnd = below.getByRole('button', { name: say('chat_to_end') });
	await toEnd.waitFor();

	// What comes at the end is offered there, and what is read does not move: the middle of the view is the same text
	// at the same height.
	const read = await view.evaluateHandle((node) => {
		const { left, top, width, height } = node.getBoundingClientRect();
		return /** @type {Element} */ (document.elementFromPoint(left + width / 2, top + height / 2));
	});
	const place = () => read.evaluate((node) => Math.round(node.getBoundingClientRect().top));
	const before = await place();
	await ollama.says('one more: {question}');
	await page.evaluate(async (chat) => {
		const { leaf } = await (await fetch(`/api/v1/chats/${chat}`)).json();
		await fetch(`/api/v1/chats/${chat}/ask`, {
			method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ id: crypto.randomUUID(), text: 'from elsewhere', parent: leaf })
		});
	}, chat);
	const news = below.getByRole('button', { name: say('chat_new_below') });
	await news.waitFor();
	await answers(page).last().getByText('one more: from elsewhere').waitFor({ state: 'attached' });
	assert.ok(Math.abs((await place()) - before) <= 1, `${before} moved to ${await place()}`);
	await news.click();
	await eventually(atEnd);
	await news.waitFor({ state: 'hidden' });
	// Up by a little is up too, and by so little that the end is near.
	await view.hover();
	await page.mouse.wheel(0, -30);
	await toEnd.waitFor();
	await toEnd.click();
	await eventually(atEnd);
});

test('whoever scrolls up while an answer grows leaves its end', async (t) => {
	const { ollama, server, page } = await scene(t);
	await ollama.says('The quick brown fox jumps over the lazy dog. '.repeat(600), 6000);
	await ollama.hold(1);
	await begin(page, server, 'grow');
	await answers(page).first().getByText('The quick').waitFor();
	const view = page.getByRole('region', { name: say('chat_messages') });
	await eventually(() => view.evaluate((node) => node.scrollHeight - node.scrollTop - node.clientHeight < 2));
	// Up by a little in the very frame in which it grew by much and followed: the browser tells of both at once.
	await view.evaluate((node) => {
		let height = node.scrollHeight;
		const observer = new ResizeObserver(() => {
			if (node.scrollHeight <= height) return;
			height = node.scrollHeight;
			node.scrollTop -= 300;
			observer.disconnect();
		});
		observer.observe(/** @type {Element} */ (node.firstElementChild));
	});
	await ollama.goOn(1);
	const toEnd = view.locator('xpath=following-sibling::*').getByRole('button');
	await toEnd.waitFor();
	const read = await view.evaluate((node) => node.scrollTop);
	await ollama.release();
	await answers(page)
		.first()
		.getByText(say('chat_usage_in', { count: 11 }), { exact: false })
		.waitFor();
	assert.equal(await view.evaluate((node) => node.scrollTop), read, 'it stayed');
	await toEnd.click();
	await toEnd.waitFor({ state: 'hidden' });
});

test('models are chosen by typing, and with none there is a way on', async (t) => {
	// Before the page, for what was started last ends first.
	const bare = await stack(t);
	const { server, page } = await scene(t);
	await page.goto(`${server.url}/chat`);
	await page.getByRole('button', { name: say('chat_model_choose', { model: 'auto' }) }).click();
	const dialog = page.getByRole('dialog', { name: say('chat_model') });
	await dialog.getByText(say('chat_profile_private')).waitFor();
	assert.deepEqual(await violations(page), []);
	await dialog.getByRole('combobox').fill('llama');
	await dialog.getByRole('option', { name: /llama3\.2/ }).waitFor();
	await page.keyboard.press('Enter');
	await page.getByRole('button', { name: /Model: .*llama3\.2/ }).waitFor();

	await page.goto(await bare.server.loginLink());
	await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
	await page.goto(`${bare.server.url}/chat`);
	await page.getByRole('heading', { name: say('chat_no_models') }).waitFor();
	await page.getByRole('link', { name: say('chat_add_device') }).waitFor();
	await settled(page);
	assert.deepEqual(await violations(page), []);
});
