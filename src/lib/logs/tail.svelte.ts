// The lines of one log as they come: a stream that heals by itself and goes on after the last line, and as many
// lines as a page can hold.

import type { LogEnd, LogLevel, LogLine } from '$lib/api/types';
import { device, type LinkState, type StreamMessage, type Subscription } from '$lib/host';

/** A line, or a place where lines are missing. */
export type Row = { key: number } & ({ readonly line: LogLine } | { gap: true });

/** A line as it came: of thousands a second few are ever looked at, and only those are read. */
class LineRow {
	#said: string | undefined;
	#line: LogLine | undefined;

	constructor(
		readonly key: number,
		said: string
	) {
		this.#said = said;
	}

	get line(): LogLine {
		this.#line ??= JSON.parse(this.#said ?? '') as LogLine;
		this.#said = undefined;
		return this.#line;
	}
}

export interface Wanted {
	source: string;
	/** Filtered on the device. */
	grep?: string;
	level?: LogLevel;
}

/** Oldest ones beyond this are let go. */
export const MOST_ROWS = 20_000;
const SLACK = 2_000;
const FIRST_LINES = 500;
/** After as many lines at once nobody reads each of them: they are drawn less often then, which leaves frames free. */
const MANY = 100;
const BUSY_PACE_MS = 100;

/** Rows with more behind them, the oldest let go in blocks so that not each line moves them all. */
export function withMore(rows: readonly Row[], more: readonly Row[]): Row[] {
	// Not by spreading: that visits each row, and this happens many times a second.
	const all = rows.concat(more);
	return all.length > MOST_ROWS + SLACK ? all.slice(-MOST_ROWS) : all;
}

export class LogTail {
	rows = $state.raw<Row[]>([]);
	link = $state.raw<LinkState>({ kind: 'connecting', since: Date.now() });
	/** Nothing more comes; why, when it was not simply all. */
	ended = $state.raw<LogEnd>();
	paused = $state(false);
	/** Lines that came while it was paused. */
	held = $state(0);

	#waiting: Row[] = [];
	#frame: number | undefined;
	#pace: ReturnType<typeof setTimeout> | undefined;
	#next = 0;
	#stream: Subscription | undefined;

	constructor(
		private readonly id: string,
		wanted: Wanted
	) {
		const { source, grep, level } = wanted;
		const query = { source, grep: grep || undefined, level, lines: FIRST_LINES, follow: true };
		this.#stream = device(id).stream('/logs/stream', query, {
			message: (message) => this.#take(message),
			link: (state) => {
				if (!this.ended) this.link = state;
			}
		});
	}

	close(): void {
		this.#stream?.close();
		clearTimeout(this.#pace);
		if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
	}

	retry(): void {
		this.#stream?.reconnect();
	}

	pause(): void {
		this.paused = true;
	}

	resume(): void {
		this.paused = false;
		this.#flush();
	}

	#take({ event, data }: StreamMessage): void {
		if (event === 'line') this.#add(new LineRow(this.#next++, data));
		else if (event === 'gap') this.#add({ key: this.#next++, gap: true });
		else if (event === 'end') {
			this.#flush();
			this.ended = JSON.parse(data) as LogEnd;
			this.#stream?.close();
			this.link = { kind: 'ended', since: Date.now() };
		}
	}

	#add(row: Row): void {
		this.#waiting.push(row);
		// Held back without end, they would be all of the memory.
		if (this.#waiting.length > MOST_ROWS + SLACK) this.#waiting = this.#waiting.slice(-MOST_ROWS);
		if (this.#pace === undefined) this.#draw();
	}

	#draw(): void {
		this.#frame ??= requestAnimationFrame(() => {
			this.#frame = undefined;
			const many = this.#waiting.length > MANY;
			if (this.paused) this.held = this.#waiting.length;
			else this.#flush();
			if (many) this.#pace = setTimeout(() => this.#paced(), BUSY_PACE_MS);
		});
	}

	#paced(): void {
		this.#pace = undefined;
		if (this.#waiting.length > 0) this.#draw();
	}

	#flush(): void {
		this.held = 0;
		if (this.#waiting.length === 0) return;
		this.rows = withMore(this.rows, this.#waiting);
		this.#waiting = [];
	}
}
