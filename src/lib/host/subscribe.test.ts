import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { delayFor, subscribe, type LinkState, type Subscription } from './subscribe';

/** A server that answers each connection as told, and remembers what it was asked. */
class FakeServer {
	asked: { path: string; lastEventId: string | null }[] = [];
	answers: (() => Response)[] = [];
	streams: ReadableStreamDefaultController<Uint8Array>[] = [];

	fetch = (path: string, init: RequestInit): Promise<Response> => {
		this.asked.push({ path, lastEventId: new Headers(init.headers).get('Last-Event-ID') });
		const answer = this.answers.shift();
		if (!answer) return Promise.reject(new TypeError('refused'));
		const response = answer();
		init.signal?.addEventListener('abort', () => {
			for (const stream of this.streams) {
				try {
					stream.error(new DOMException('aborted', 'AbortError'));
				} catch {
					// Closed already.
				}
			}
		});
		return Promise.resolve(response);
	};

	/** Accepts the next connection with a stream. */
	accept(): void {
		this.answers.push(
			() =>
				new Response(new ReadableStream<Uint8Array>({ start: (control) => void this.streams.push(control) }))
		);
	}

	send(text: string): void {
		this.streams.at(-1)?.enqueue(new TextEncoder().encode(text));
	}
}

let server: FakeServer;
let page: EventTarget & { visibilityState: string };
let machine: EventTarget;
let states: LinkState[];
let received: string[];
let subscription: Subscription;

const open = (lastEventId?: string) => {
	subscription = subscribe('/api/v1/events', {
		lastEventId,
		message: ({ data }) => received.push(data),
		link: (state) => states.push(state)
	});
};
const settle = () => vi.advanceTimersByTimeAsync(0);
const kinds = () => states.map(({ kind }) => kind);

beforeEach(() => {
	vi.useFakeTimers({ now: 1_000_000 });
	vi.spyOn(Math, 'random').mockReturnValue(1);
	server = new FakeServer();
	page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
	machine = new EventTarget();
	states = [];
	received = [];
	vi.stubGlobal('fetch', server.fetch);
	vi.stubGlobal('document', page);
	vi.stubGlobal('window', machine);
	vi.stubGlobal('navigator', { onLine: true });
});

afterEach(() => {
	subscription.close();
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
	vi.useRealTimers();
});

describe('subscribe', () => {
	it('is live when the server answers, and hands messages on', async () => {
		server.accept();
		open();
		await settle();
		server.send('id: 1\ndata: one\n\n');
		await settle();
		expect(kinds()).toEqual(['connecting', 'live']);
		expect(received).toEqual(['one']);
	});

	it('comes back by itself, at the position it had', async () => {
		server.accept();
		open('40');
		await settle();
		server.send('id: 41\ndata: one\n\n');
		await settle();
		server.accept();
		server.streams.at(-1)?.close();
		await settle();
		expect(states.at(-1)).toMatchObject({ kind: 'reconnecting', since: 1_000_000, retryAt: 1_000_500 });
		await vi.advanceTimersByTimeAsync(500);
		expect(server.asked.map(({ lastEventId }) => lastEventId)).toEqual(['40', '41']);
		expect(states.at(-1)?.kind).toBe('live');
	});

	it('waits longer each time, and says since when it is lost', async () => {
		open();
		await settle();
		await vi.advanceTimersByTimeAsync(500 + 1000 + 2000);
		const lost = states.filter((state) => state.kind === 'reconnecting');
		expect(lost.map(({ retryAt }) => retryAt - 1_000_000)).toEqual([500, 1500, 3500, 7500]);
		expect(new Set(lost.map(({ since }) => since))).toEqual(new Set([1_000_000]));
	});

	it('takes forty seconds of silence for a dead connection', async () => {
		server.accept();
		open();
		await settle();
		await vi.advanceTimersByTimeAsync(30_000);
		server.send(': still here\n\n');
		await settle();
		await vi.advanceTimersByTimeAsync(39_000);
		expect(states.at(-1)?.kind).toBe('live');
		await vi.advanceTimersByTimeAsync(1_500);
		expect(states.at(-1)).toMatchObject({ kind: 'reconnecting' });
	});

	it('stops for good when it is refused', async () => {
		const body = { type: '', status: 401, code: 'unauthenticated', detail: 'Sign in.' };
		server.answers.push(() => Response.json(body, { status: 401 }));
		open();
		await settle();
		await vi.advanceTimersByTimeAsync(120_000);
		expect(states.at(-1)).toMatchObject({ kind: 'ended', problem: { code: 'unauthenticated' } });
		expect(server.asked).toHaveLength(1);
	});

	it('tries on when the server is only busy', async () => {
		server.answers.push(() => new Response('', { status: 503 }));
		server.accept();
		open();
		await vi.advanceTimersByTimeAsync(600);
		expect(states.at(-1)?.kind).toBe('live');
	});

	it('says offline without a network, and connects at once when it is back', async () => {
		server.accept();
		open();
		await settle();
		vi.stubGlobal('navigator', { onLine: false });
		machine.dispatchEvent(new Event('offline'));
		await settle();
		expect(states.at(-1)?.kind).toBe('offline');
		vi.stubGlobal('navigator', { onLine: true });
		server.accept();
		machine.dispatchEvent(new Event('online'));
		await settle();
		expect(states.at(-1)?.kind).toBe('live');
	});

	it('doubts a stream that was silent while the page slept', async () => {
		server.accept();
		open();
		await settle();
		vi.setSystemTime(1_000_000 + 3600_000);
		server.accept();
		page.dispatchEvent(new Event('visibilitychange'));
		await settle();
		expect(server.asked).toHaveLength(2);
		expect(states.at(-1)?.kind).toBe('live');
	});

	it('is silent after closing', async () => {
		server.accept();
		open();
		await settle();
		subscription.close();
		const before = states.length;
		machine.dispatchEvent(new Event('online'));
		await vi.advanceTimersByTimeAsync(120_000);
		expect(states).toHaveLength(before);
		expect(server.asked).toHaveLength(1);
	});
});

describe('delayFor', () => {
	it('doubles up to twenty seconds, with jitter over the upper half', () => {
		expect([0, 1, 2, 10].map((attempt) => delayFor(attempt, () => 1))).toEqual([500, 1000, 2000, 20_000]);
		expect(delayFor(2, () => 0)).toBe(1000);
	});
});
