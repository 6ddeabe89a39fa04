import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LogTail, MOST_ROWS, withMore, type Row } from './tail.svelte';

let stream: ReadableStreamDefaultController<Uint8Array>;
let asked: { path: string; last: string | null }[];
let tail: LogTail;

const send = async (text: string) => {
	stream.enqueue(new TextEncoder().encode(text));
	await vi.advanceTimersByTimeAsync(20);
};
const line = (id: number) => `event: line\nid: c${id}\ndata: {"text":"line ${id}"}\n\n`;
const texts = () => tail.rows.map((row) => ('line' in row ? row.line.text : '[gap]'));

beforeEach(() => {
	vi.useFakeTimers();
	asked = [];
	vi.stubGlobal('document', Object.assign(new EventTarget(), { visibilityState: 'visible' }));
	vi.stubGlobal('window', new EventTarget());
	vi.stubGlobal('navigator', { onLine: true });
	vi.stubGlobal('requestAnimationFrame', (run: () => void) => setTimeout(run, 16));
	vi.stubGlobal('cancelAnimationFrame', (timer: number) => clearTimeout(timer));
	vi.stubGlobal('fetch', (path: string, init: RequestInit) => {
		asked.push({ path, last: new Headers(init.headers).get('Last-Event-ID') });
		return Promise.resolve(new Response(new ReadableStream({ start: (control) => void (stream = control) })));
	});
	tail = new LogTail('d', { source: 'file:/var/log/a b', grep: '', level: 'warn' });
});
afterEach(() => {
	tail.close();
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

it('asks the device with its filter', () => {
	const url = new URL(asked[0]!.path, 'http://x');
	expect(url.pathname).toBe('/api/v1/devices/d/link/logs/stream');
	expect(Object.fromEntries(url.searchParams)).toEqual({
		source: 'file:/var/log/a b',
		level: 'warn',
		lines: '500',
		follow: 'true'
	});
});

it('shows lines as they come, and where some are missing', async () => {
	await send(line(1) + 'event: gap\ndata: {}\n\n' + line(2));
	expect(texts()).toEqual(['line 1', '[gap]', 'line 2']);
});

it('draws many lines a few times a second, and few at once', async () => {
	const many = (from: number) => Array.from({ length: 200 }, (_, at) => line(from + at)).join('');
	await send(many(0));
	expect(tail.rows.length).toBe(200);
	await send(many(200));
	expect(tail.rows.length).toBe(200);
	await vi.advanceTimersByTimeAsync(120);
	expect(tail.rows.length).toBe(400);
	await vi.advanceTimersByTimeAsync(120);
	await send(line(400));
	expect(tail.rows.length).toBe(401);
});

it('holds lines back while it is paused, and loses none', async () => {
	await send(line(1));
	tail.pause();
	await send(line(2) + line(3));
	expect([texts(), tail.held]).toEqual([['line 1'], 2]);
	tail.resume();
	expect([texts(), tail.held]).toEqual([['line 1', 'line 2', 'line 3'], 0]);
});

it('goes on after the last line when it was cut', async () => {
	await send(line(7));
	stream.close();
	await vi.advanceTimersByTimeAsync(600);
	expect(asked.at(-1)?.last).toBe('c7');
	await send(line(8));
	expect(texts()).toEqual(['line 7', 'line 8']);
});

it('reads only the lines that are looked at', async () => {
	const read = vi.spyOn(JSON, 'parse');
	await send(Array.from({ length: 1_000 }, (_, at) => line(at)).join(''));
	expect([tail.rows.length, read.mock.calls.length]).toEqual([1_000, 0]);
	expect(texts().slice(-2)).toEqual(['line 998', 'line 999']);
	expect(texts()).toHaveLength(1_000);
	expect(read, 'and each of them once').toHaveBeenCalledTimes(1_000);
	read.mockRestore();
});

it('says why it ended', async () => {
	await send(line(1) + 'event: end\ndata: {"reason":"the container was removed"}\n\n');
	expect(tail.ended).toEqual({ reason: 'the container was removed' });
	expect(tail.link.kind).toBe('ended');
});

it('holds no more than a page can', () => {
	const rows = (count: number): Row[] => Array.from({ length: count }, (_, key) => ({ key, gap: true }));
	expect(withMore(rows(MOST_ROWS), rows(100))).toHaveLength(MOST_ROWS + 100);
	expect(withMore(rows(MOST_ROWS), rows(3_000))).toHaveLength(MOST_ROWS);
});
