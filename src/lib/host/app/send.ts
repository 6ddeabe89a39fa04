// `fetch` for the app: the request crosses to the program as it is, and the answer comes back as a Response. What is
// meant for a device's own API goes straight there, sealed, and not through the server.

import { Channel } from '@tauri-apps/api/core';
import { lastKnown } from '../last-known.svelte';
import { asProblem, call } from './call';
import type { AnswerHead, AskHead, StreamEnd, StreamHead } from './commands';

const DEVICE = /^\/api\/v1\/devices\/([^/?]+)\/link(\/.*)$/;
/** Answers to these have no body, and a Response insists on it. */
const BODILESS = [204, 205, 304];

export async function send(input: Request | string, init: RequestInit = {}): Promise<Response> {
	const signal = init.signal ?? (input instanceof Request ? input.signal : undefined);
	signal?.throwIfAborted();
	const { head, body } = await asked(input, init);
	const streams = head.headers.some(([name, value]) => name === 'accept' && value === 'text/event-stream');
	return streams ? stream(head, body, signal) : whole(head, body, signal);
}

async function asked(input: Request | string, init: RequestInit) {
	// A relative address has a base only so that it can be read.
	const request = new Request(typeof input === 'string' ? new URL(input, 'http://localhost') : input, {
		...init,
		credentials: undefined
	});
	const url = new URL(request.url);
	const head = headOf(request.method, url.pathname + url.search, [...request.headers]);
	return { head, body: new Uint8Array(await request.arrayBuffer()) };
}

/** Who is asked, and what: `path` with its query. */
export function headOf(method: string, path: string, headers: [string, string][] = []): AskHead {
	const [, device = null, rest = path] = DEVICE.exec(path) ?? [];
	return { method, path: rest, headers, device };
}

/** The head beside the body, which crosses as it is. */
const beside = (head: AskHead) => ({ 'x-foreman-ask': encodeURIComponent(JSON.stringify(head)) });

async function whole(head: AskHead, body: Uint8Array, signal?: AbortSignal | null): Promise<Response> {
	const answer = await unless(signal, call<ArrayBuffer>('ask', body, { headers: beside(head) }));
	const length = new DataView(answer).getUint32(0);
	const said = JSON.parse(new TextDecoder().decode(answer.slice(4, 4 + length))) as AnswerHead;
	const content = BODILESS.includes(said.status) ? null : answer.slice(4 + length);
	const response = new Response(content, { status: said.status, headers: said.headers });
	if (!head.device) lastKnown.note(response.headers.get('x-foreman-last-known'));
	return response;
}

async function stream(head: AskHead, asked: Uint8Array, signal?: AbortSignal | null): Promise<Response> {
	let controller!: ReadableStreamDefaultController<Uint8Array>;
	let over = false;
	const body = new ReadableStream<Uint8Array>({
		start: (it) => void (controller = it),
		cancel: () => close()
	});
	const pieces = new Channel<ArrayBuffer | StreamEnd>((piece) => {
		if (over) return;
		if (piece instanceof ArrayBuffer) return controller.enqueue(new Uint8Array(piece));
		over = true;
		if (piece.failure) controller.error(asProblem(piece.failure));
		else controller.close();
	});
	const opening = call<StreamHead>('open_stream', asked, {
		headers: { ...beside(head), 'x-foreman-pieces': pieces.toJSON() }
	});
	const close = () => void opening.then(({ number }) => call('close_stream', { number })).catch(() => {});
	const abort = () => {
		if (!over) controller.error(signal?.reason);
		over = true;
		close();
	};
	signal?.addEventListener('abort', abort, { once: true });
	const { answer } = await unless(signal, opening);
	return new Response(body, { status: answer.status, headers: answer.headers });
}

/** What is awaited, or the reason for not waiting any more. */
function unless<T>(signal: AbortSignal | null | undefined, awaited: Promise<T>): Promise<T> {
	if (!signal) return awaited;
	return new Promise((resolve, reject) => {
		const abort = () => reject(signal.reason);
		signal.addEventListener('abort', abort, { once: true });
		awaited.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
	});
}
