// Live streams that heal by themselves. A stream is read with `fetch` rather than EventSource, because only so
// can it start from a position, notice silence, and say why it ended.

import { ProblemError, problemFrom, problemOf } from './problem';
import { SseParser, type StreamMessage } from './sse';
import { send } from './transport';

export type { StreamMessage } from './sse';

/** How a stream is doing. Times are ms since epoch by this device's clock. */
export type LinkState =
	| { kind: 'connecting'; since: number }
	| { kind: 'live'; since: number }
	/** Lost; the next try is at `retryAt`. */
	| { kind: 'reconnecting'; since: number; retryAt: number; problem: ProblemError }
	/** This device itself has no network. */
	| { kind: 'offline'; since: number }
	/** Over: closed by us, ended by the server, or refused with something that trying again will not mend. */
	| { kind: 'ended'; since: number; problem?: ProblemError };

export interface SubscribeOptions {
	/** Where to go on from; kept up to date over reconnects by the ids of the stream. */
	lastEventId?: string;
	message: (message: StreamMessage) => void;
	link?: (state: LinkState) => void;
}

export interface Subscription {
	close(): void;
	/** Drops the connection, if any, and connects at once. */
	reconnect(): void;
	readonly lastEventId: string;
}

/** The server sends at least a ping every 15 s; this much silence means the connection is dead. */
const SILENCE_MS = 40_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;

/** Doubling, with jitter over the upper half, so that many dashboards do not come back in one wave. */
export function delayFor(attempt: number, random: () => number = Math.random): number {
	const full = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
	return full / 2 + (full / 2) * random();
}

export function subscribe(path: string, options: SubscribeOptions): Subscription {
	let lastEventId = options.lastEventId ?? '';
	let closed = false;
	let attempt = 0;
	let lostAt: number | undefined;
	let lastHeard = 0;
	let retryTimer: ReturnType<typeof setTimeout> | undefined;
	let abort: AbortController | undefined;

	const tell = (state: LinkState) => options.link?.(state);

	function lost(problem: ProblemError): void {
		if (closed) return;
		lostAt ??= Date.now();
		if (navigator.onLine === false) {
			tell({ kind: 'offline', since: lostAt });
			return;
		}
		const delay = delayFor(attempt++);
		tell({ kind: 'reconnecting', since: lostAt, retryAt: Date.now() + delay, problem });
		retryTimer = setTimeout(connect, delay);
	}

	function end(problem?: ProblemError): void {
		if (closed) return;
		close();
		tell({ kind: 'ended', since: Date.now(), problem });
	}

	async function connect(): Promise<void> {
		clearTimeout(retryTimer);
		abort?.abort();
		const mine = (abort = new AbortController());
		if (lostAt === undefined) tell({ kind: 'connecting', since: Date.now() });
		try {
			await read(mine);
			// The server closed the stream: it is shutting down, or a proxy cut it.
			if (!mine.signal.aborted) lost(new ProblemError('unavailable', ''));
		} catch (thrown) {
			if (mine.signal.aborted && mine.signal.reason !== 'silence') return;
			const problem = mine.signal.aborted ? new ProblemError('unreachable', '') : problemOf(thrown);
			const final = problem.status >= 400 && problem.status < 500 && !problem.passing;
			if (final) end(problem);
			else lost(problem);
		}
	}

	async function read(mine: AbortController): Promise<void> {
		let silence = setTimeout(() => mine.abort('silence'), SILENCE_MS);
		try {
			const headers: Record<string, string> = { Accept: 'text/event-stream' };
			if (lastEventId !== '') headers['Last-Event-ID'] = lastEventId;
			const response = await send(path, {
				headers,
				credentials: 'same-origin',
				cache: 'no-store',
				signal: mine.signal
			});
			if (!response.ok || !response.body) {
				throw problemFrom(response.status, await response.json().catch(() => undefined));
			}
			attempt = 0;
			lostAt = undefined;
			lastHeard = Date.now();
			tell({ kind: 'live', since: lastHeard });
			const parser = new SseParser(lastEventId, (message) => {
				lastEventId = message.id;
				options.message(message);
			});
			const reader = response.body.getReader();
			for (;;) {
				const { done, value } = await reader.read();
				if (done || mine.signal.aborted) return;
				lastHeard = Date.now();
				clearTimeout(silence);
				silence = setTimeout(() => mine.abort('silence'), SILENCE_MS);
				parser.push(value);
			}
		} finally {
			clearTimeout(silence);
		}
	}

	// A laptop that slept has a stream that looks alive and is not: on waking, doubt it.
	function wake(): void {
		if (closed || document.visibilityState === 'hidden') return;
		const waiting = lostAt !== undefined;
		if (waiting || Date.now() - lastHeard > SILENCE_MS / 2) reconnect();
	}

	function wentOffline(): void {
		abort?.abort();
		clearTimeout(retryTimer);
		lostAt ??= Date.now();
		tell({ kind: 'offline', since: lostAt });
	}

	function reconnect(): void {
		if (closed) return;
		attempt = 0;
		void connect();
	}

	function close(): void {
		closed = true;
		clearTimeout(retryTimer);
		abort?.abort();
		document.removeEventListener('visibilitychange', wake);
		window.removeEventListener('online', wake);
		window.removeEventListener('offline', wentOffline);
	}

	document.addEventListener('visibilitychange', wake);
	window.addEventListener('online', wake);
	window.addEventListener('offline', wentOffline);
	void connect();

	return {
		close,
		reconnect,
		get lastEventId() {
			return lastEventId;
		}
	};
}
