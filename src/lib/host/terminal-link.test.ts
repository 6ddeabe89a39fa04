import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LinkState } from './subscribe';
import { ProblemError } from './problem';
import { MOST_PENDING, TerminalLink } from './terminal-link';

/** The far end of one connection: what the page sent, and what it is sent. */
class FakeSocket {
	static all: FakeSocket[] = [];
	binaryType = '';
	onopen: (() => void) | null = null;
	onmessage: ((event: { data: unknown }) => void) | null = null;
	onclose: (() => void) | null = null;
	sent: Uint8Array[] = [];
	closed = false;

	constructor(readonly url: URL) {
		FakeSocket.all.push(this);
	}

	send(bytes: Uint8Array): void {
		this.sent.push(bytes);
	}

	close(): void {
		this.closed = true;
	}

	frame(kind: number, ...rest: number[]): void {
		this.onmessage?.({ data: Uint8Array.from([kind, ...rest]).buffer });
	}

	output(offset: number, text: string): void {
		this.frame(0x80, ...number(offset), ...new TextEncoder().encode(text));
	}

	greet({ printed = 0, received = 0, write = true } = {}): void {
		this.onopen?.();
		const state = { may_write: write, input_received: received, terminal: { output_bytes: printed } };
		this.frame(0x81, ...new TextEncoder().encode(JSON.stringify(state)));
	}

	/** Offsets and texts of the input that was sent. */
	get typed(): [number, string][] {
		return this.sent
			.filter(([kind]) => kind === 0)
			.map((bytes) => [bytes[8]!, new TextDecoder().decode(bytes.subarray(9))]);
	}
}

const number = (value: number) => [0, 0, 0, 0, 0, 0, value >> 8, value & 255];
const last = () => FakeSocket.all.at(-1)!;
const bytes = (text: string) => new TextEncoder().encode(text);

let shown: string;
let replays: boolean[];
let states: LinkState[];
let refusal: ProblemError | undefined;
let link: TerminalLink;

function attach() {
	link = new TerminalLink({
		address: (from, writer) => `/attach?from=${from}&writer=${writer}`,
		refused: () => Promise.resolve(refusal),
		output: (data, replayed) => {
			shown += new TextDecoder().decode(data);
			replays.push(replayed);
		},
		gap: (missing) => (shown += `[${missing} gone]`),
		state: () => {},
		ended: ({ exit_code }) => (shown += `[ended ${exit_code}]`),
		link: (state) => states.push(state)
	});
}

beforeEach(() => {
	vi.useFakeTimers({ now: 1_000_000 });
	vi.spyOn(Math, 'random').mockReturnValue(1);
	FakeSocket.all = [];
	shown = '';
	replays = [];
	states = [];
	refusal = undefined;
	vi.stubGlobal('WebSocket', FakeSocket);
	vi.stubGlobal('document', Object.assign(new EventTarget(), { visibilityState: 'visible' }));
	vi.stubGlobal('window', new EventTarget());
	vi.stubGlobal('navigator', { onLine: true });
	vi.stubGlobal('location', { href: 'https://foreman.example/devices/1/terminal' });
	attach();
});

afterEach(() => {
	link.close();
	vi.useRealTimers();
	vi.restoreAllMocks();
	vi.unstubAllGlobals();
});

async function cutAndReconnect() {
	last().onclose?.();
	await vi.advanceTimersByTimeAsync(0);
	await vi.advanceTimersByTimeAsync(500);
}

describe('a terminal over a line that breaks', () => {
	it('asks for everything at first, as a writer with a name of its own', () => {
		expect(last().url.protocol).toBe('wss:');
		expect(last().url.search).toMatch(/^\?from=0&writer=[\da-f]{32}$/);
	});

	it('goes on at the byte that is missing, and shows none twice', async () => {
		last().greet();
		last().output(0, 'one ');
		last().output(4, 'two ');
		await cutAndReconnect();
		expect(states.at(-1)?.kind).toBe('reconnecting');
		expect(last().url.searchParams.get('from')).toBe('8');
		last().greet({ printed: 12 });
		last().output(4, 'two three');
		expect(shown).toBe('one two three');
		expect(states.at(-1)?.kind).toBe('live');
	});

	it('keeps what is typed while cut and sends it once, from where the device stands', async () => {
		const writer = last().url.searchParams.get('writer');
		last().greet();
		link.type(bytes('ls'));
		link.type(bytes(' -l'));
		expect(last().typed).toEqual([
			[0, 'ls'],
			[2, ' -l']
		]);
		await cutAndReconnect();
		link.type(bytes('\r'));
		expect(last().typed).toEqual([]);
		expect(last().url.searchParams.get('writer')).toBe(writer);
		last().greet({ received: 3 });
		expect(last().typed).toEqual([
			[3, '-l'],
			[5, '\r']
		]);
		last().frame(0x83, ...number(6));
		expect(link.pendingBytes).toBe(0);
		await cutAndReconnect();
		last().greet({ received: 6 });
		expect(last().typed).toEqual([]);
	});

	it('doubts a connection that does not confirm what was typed', async () => {
		last().greet();
		link.type(bytes('x'));
		const first = last();
		await vi.advanceTimersByTimeAsync(10_000);
		expect(first.closed).toBe(true);
		expect(FakeSocket.all).toHaveLength(2);
	});

	it('says its window again after a reconnect', async () => {
		last().greet();
		link.resize(120, 40);
		await cutAndReconnect();
		last().greet();
		expect(last().sent.map((frame) => [...frame])).toEqual([[1, 0, 120, 0, 40]]);
	});

	it('marks output that is gone, but not what was gone before it came', async () => {
		last().greet({ printed: 300 });
		last().frame(0x82, ...number(100));
		last().output(100, 'a');
		last().frame(0x82, ...number(111));
		last().output(111, 'b');
		expect(shown).toBe('a[10 gone]b');
	});

	it('tells what was printed before it came from what is new', () => {
		last().greet({ printed: 4 });
		last().output(0, 'old!');
		last().output(4, 'new');
		expect(replays).toEqual([true, false]);
	});

	it('takes no more input than it can keep', () => {
		expect(link.type(new Uint8Array(MOST_PENDING))).toBe(true);
		expect(link.type(bytes('x'))).toBe(false);
		expect(link.pendingBytes).toBe(MOST_PENDING);
	});

	it('lets a reader’s typing go', () => {
		link.type(bytes('x'));
		last().greet({ write: false });
		expect(link.pendingBytes).toBe(0);
		expect(last().typed).toEqual([]);
	});

	it('leaves while it is paused and takes up again where it was', () => {
		last().greet();
		last().output(0, 'abc');
		link.pause();
		expect(last().closed).toBe(true);
		link.resume();
		expect(last().url.searchParams.get('from')).toBe('3');
	});

	it('ends with the terminal', () => {
		last().greet();
		last().frame(0x84, ...bytes('{"at":1,"exit_code":2}'));
		expect(shown).toBe('[ended 2]');
		expect(states.at(-1)).toMatchObject({ kind: 'ended' });
		expect(link.type(bytes('x'))).toBe(false);
	});

	it('ends with the reason when it is refused for good, and goes on trying otherwise', async () => {
		refusal = new ProblemError('device_unreachable', '', 503);
		last().onclose?.();
		await vi.advanceTimersByTimeAsync(0);
		expect(states.at(-1)?.kind).toBe('reconnecting');
		refusal = new ProblemError('policy_forbids', '', 403);
		await vi.advanceTimersByTimeAsync(500);
		last().onclose?.();
		await vi.advanceTimersByTimeAsync(0);
		expect(states.at(-1)).toMatchObject({ kind: 'ended', problem: { code: 'policy_forbids' } });
	});
});
