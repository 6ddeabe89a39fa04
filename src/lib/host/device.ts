// The door to one device's own API. From a browser the way leads through the server; who uses this does not know
// the addresses, so that another way can stand behind the same names.

import type { CarriedGrant, Level } from '$lib/api/types';
import { ProblemError, problemFrom, problemOf } from './problem';
import { subscribe, type SubscribeOptions, type Subscription } from './subscribe';
import { TerminalLink, type TerminalLinkOptions } from './terminal-link';
import { app, inApp, send } from './transport';

export type Query = Record<string, string | number | boolean | undefined>;

export interface CallOptions {
	query?: Query;
	/** Sent as JSON. */
	json?: unknown;
	/** Sent as it is. */
	body?: Blob;
	headers?: Record<string, string>;
	signal?: AbortSignal;
	/** ms; a request that takes longer has failed. */
	timeout?: number;
}

const TIMEOUT_MS = 20_000;

export type AttachOptions = Omit<TerminalLinkOptions, 'address' | 'refused'>;

/** A terminal that is watched and typed in, however it is reached. */
export type TerminalDoor = Pick<
	TerminalLink,
	'pendingBytes' | 'type' | 'resize' | 'letResizeGo' | 'pause' | 'resume' | 'reconnect' | 'close'
>;

/** How a device is reached. */
export interface DevicePath {
	/** Nothing while no way is found. */
	kind?: 'lan' | 'tailscale' | 'cloudflare' | 'relay' | 'server';
	/** Only the device can read what is sent. */
	endToEnd: boolean;
	latencyMs?: number;
	/** What the device itself lets this app do; nothing where the server speaks for it. */
	level?: Level;
	/** Why there is none, or why it is not a better one; in English. */
	trouble?: string;
	/** It is not the device that this app knows: nothing is sent to it. */
	notBelieved?: boolean;
}

const THROUGH_SERVER: DevicePath = { kind: 'server', endToEnd: false };

export interface DeviceDoor {
	/** The answer's JSON; nothing where there is none. Throws a ProblemError. */
	call<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, options?: CallOptions): Promise<T>;
	/** The answer itself, once it is known to be a good one. */
	open(path: string, options?: CallOptions): Promise<Response>;
	/** A live stream; see `subscribe`. */
	stream(path: string, query: Query, options: SubscribeOptions): Subscription;
	/** Watches a terminal and types in it. */
	attach(terminal: string, options: AttachOptions): TerminalDoor;
	/** Says how the device is reached, now and whenever it changes. Returns how to stop. */
	watchPath(tell: (path: DevicePath) => void): () => void;
	/** Who else may reach it, as its owners signed; the server carries them and cannot change them. */
	grants(): Promise<CarriedGrant[]>;
	/** An address the browser itself can fetch, for downloads. */
	href(path: string, query?: Query): string;
}

export function device(id: string): DeviceDoor {
	const base = `/api/v1/devices/${encodeURIComponent(id)}/link`;
	const href = (path: string, query: Query = {}) => base + path + searchOf(query);

	const open = (method: string, path: string, options: CallOptions = {}) =>
		ask(method, href(path, options.query), options);

	async function ask(method: string, address: string, options: CallOptions): Promise<Response> {
		const { json, body, headers = {}, signal, timeout = TIMEOUT_MS } = options;
		const limits = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
		let response: Response;
		try {
			response = await send(address, {
				method,
				headers: { ...(json !== undefined && { 'Content-Type': 'application/json' }), ...headers },
				body: json !== undefined ? JSON.stringify(json) : body,
				credentials: 'same-origin',
				cache: 'no-store',
				signal: AbortSignal.any(limits)
			});
		} catch (thrown) {
			if (signal?.aborted) throw thrown;
			throw problemOf(thrown);
		}
		if (response.ok) return response;
		throw problemFrom(response.status, await response.json().catch(() => undefined));
	}

	return {
		async call<T>(method: string, path: string, options?: CallOptions): Promise<T> {
			const response = await open(method, path, options);
			try {
				const text = await response.text();
				return (text === '' ? undefined : JSON.parse(text)) as T;
			} catch (thrown) {
				if (options?.signal?.aborted) throw thrown;
				throw problemOf(thrown);
			}
		},
		open: (path, options) => open('GET', path, options),
		stream: (path, query, options) => subscribe(href(path, query), options),
		attach: (terminal, options) =>
			inApp
				? new (app().AppTerminal)(id, terminal, options)
				: new TerminalLink({
						...options,
						address: (from, writer) => href(`/terminals/${terminal}/attach`, { from, writer }),
						refused: () =>
							open('GET', `/terminals/${terminal}`).then(
								() => undefined,
								(thrown: unknown): ProblemError => problemOf(thrown)
							)
					}),
		watchPath(tell) {
			if (inApp) return app().watchPath(id, tell);
			tell(THROUGH_SERVER);
			return () => {};
		},
		async grants() {
			const response = await ask('GET', `/api/v1/devices/${encodeURIComponent(id)}/grants?limit=200`, {});
			return ((await response.json()) as { items: CarriedGrant[] }).items;
		},
		href
	};
}

function searchOf(query: Query): string {
	const parameters = new URLSearchParams();
	for (const [name, value] of Object.entries(query)) {
		if (value !== undefined) parameters.set(name, String(value));
	}
	const text = parameters.toString();
	return text === '' ? '' : `?${text}`;
}
