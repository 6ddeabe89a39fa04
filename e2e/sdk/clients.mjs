// The openai and @anthropic-ai/sdk libraries against a base address: says what they heard as one line of JSON.
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const [base, key, ...models] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
const PICTURE = Buffer.from('not really a picture').toString('base64');
const SCHEMA = {
	type: 'object',
	properties: { city: { type: 'string' }, days: { type: 'integer' } }
};
const question = [{ role: 'user', content: 'good morning to all' }];

async function collect(stream) {
	const all = [];
	for await (const event of stream) all.push(event);
	return all;
}

async function byOpenai(model) {
	const ask = (more) => openai.chat.completions.create({ model, messages: question, ...more });
	const whole = await ask({});
	const { response } = await ask({}).withResponse();
	const stream = await collect(await ask({ stream: true, stream_options: { include_usage: true } }));
	const plain = await collect(await ask({ stream: true }));
	const tools = [{ type: 'function', function: { name: 'weather', parameters: SCHEMA } }];
	const streamed = openai.chat.completions.stream({ model, messages: question, tools });
	const called = (await streamed.finalChatCompletion()).choices[0];
	const [call] = called.message.tool_calls;
	const told = [
		...question,
		{
			role: 'assistant',
			content: null,
			tool_calls: [
				{
					id: call.id,
					type: 'function',
					function: { name: call.function.name, arguments: call.function.arguments }
				}
			]
		},
		{ role: 'tool', tool_call_id: call.id, content: 'sunny' }
	];
	const picture = [
		{
			role: 'user',
			content: [
				{ type: 'text', text: 'see' },
				{ type: 'image_url', image_url: { url: `data:image/png;base64,${PICTURE}` } }
			]
		}
	];
	return {
		whole: whole.choices[0].message.content,
		input: whole.usage.prompt_tokens,
		reason: response.headers.get('x-foreman-reason'),
		stream: stream.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''),
		counted: stream.at(-1).usage.prompt_tokens,
		uncounted: plain.every((chunk) => chunk.choices.length > 0),
		called: [called.finish_reason, call.function.name, JSON.parse(call.function.arguments)],
		answered: (await ask({ messages: told, tools })).choices[0].message.content,
		picture: (await ask({ messages: picture })).choices[0].message.content
	};
}

async function byAnthropic(model) {
	const ask = (more) => anthropic.messages.create({ model, max_tokens: 100, messages: question, ...more });
	const whole = await ask({ system: 'Be brief.' });
	const stream = anthropic.messages.stream({ model, max_tokens: 100, messages: question });
	let said = '';
	stream.on('text', (text) => (said += text));
	const final = await stream.finalMessage();
	const tools = [{ name: 'weather', input_schema: SCHEMA }];
	const called = await anthropic.messages
		.stream({ model, max_tokens: 100, messages: question, tools })
		.finalMessage();
	const call = called.content.at(-1);
	const told = [
		...question,
		{
			role: 'assistant',
			content: [{ type: 'tool_use', id: call.id, name: call.name, input: call.input }]
		},
		{
			role: 'user',
			content: [{ type: 'tool_result', tool_use_id: call.id, content: 'sunny' }]
		}
	];
	const picture = [
		{
			role: 'user',
			content: [
				{ type: 'text', text: 'see' },
				{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: PICTURE } }
			]
		}
	];
	return {
		whole: whole.content[0].text,
		input: whole.usage.input_tokens + whole.usage.cache_read_input_tokens,
		stream: said,
		counted: final.usage.output_tokens,
		called: [called.stop_reason, call.name, call.input],
		answered: (await ask({ messages: told, tools })).content[0].text,
		picture: (await ask({ messages: picture })).content[0].text
	};
}

async function refused(act) {
	try {
		await act();
	} catch (error) {
		return [error.constructor.name, error.status ?? null];
	}
	return null;
}

const each = async (by) =>
	Object.fromEntries(await Promise.all(models.map(async (model) => [model, await by(model)])));
const ask = [{ role: 'user', content: 'hello' }];
const broken = { model: 'openai/breaks-off', messages: ask, stream: true };
const heard = {
	openai: await each(byOpenai),
	anthropic: await each(byAnthropic),
	models: (await collect(await openai.models.list())).some(({ id }) => id === 'auto'),
	anthropic_models: (await collect(await anthropic.models.list())).some(({ id }) => id === 'auto'),
	embedding: (
		await openai.embeddings.create({
			model: 'text-embedding-3-small',
			input: 'a',
			encoding_format: 'float'
		})
	).data.length,
	unknown: [
		await refused(() => openai.chat.completions.create({ model: 'nothing', messages: ask })),
		await refused(() => anthropic.messages.create({ model: 'nothing', max_tokens: 9, messages: ask }))
	],
	broken: [
		await refused(async () => collect(await openai.chat.completions.create(broken))),
		await refused(async () => collect(await anthropic.messages.create({ ...broken, max_tokens: 9 })))
	]
};
console.log(JSON.stringify(heard));
