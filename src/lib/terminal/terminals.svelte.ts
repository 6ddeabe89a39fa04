// The terminals of one device, kept current: asked for once, again when the event log says that one came or went,
// and every so often for who watches.

import type { OpenTerminal, Terminal } from '$lib/api/types';
import { problemOf, type ProblemError } from '$lib/host';
import type { Live } from '$lib/live';
import { endTerminal, listTerminals, openTerminal, updateTerminal } from './calls';

const PACE_MS = 10_000;

export class Terminals {
	/** Oldest first, as tabs stay where they are; nothing before the first answer. */
	all = $state.raw<Terminal[]>();
	problem = $state.raw<ProblemError>();
	#timer: ReturnType<typeof setInterval> | undefined;
	#stopListening = () => {};

	constructor(
		private readonly live: Live,
		private readonly device: string
	) {}

	start(): void {
		void this.load();
		this.#stopListening = this.live.listen((event) => {
			const about = event.type === 'device.terminal.opened' || event.type === 'device.terminal.ended';
			if (about && event.data.device.id === this.device) void this.load();
		});
		this.#timer = setInterval(() => {
			if (document.visibilityState === 'visible') void this.load();
		}, PACE_MS);
	}

	stop(): void {
		clearInterval(this.#timer);
		this.#stopListening();
	}

	async load(): Promise<void> {
		try {
			const all = await listTerminals(this.device);
			this.all = all.sort((a, b) => a.created_at - b.created_at);
			this.problem = undefined;
		} catch (thrown) {
			this.problem = problemOf(thrown);
		}
	}

	async open(wanted: Partial<OpenTerminal>): Promise<Terminal> {
		const opened = await openTerminal(this.device, { cols: 80, rows: 24, ...wanted });
		this.put(opened);
		return opened;
	}

	async rename(id: string, name: string): Promise<void> {
		this.put(await updateTerminal(this.device, id, { name }));
	}

	async record(id: string, record: boolean): Promise<void> {
		this.put(await updateTerminal(this.device, id, { record }));
	}

	async end(id: string): Promise<void> {
		await endTerminal(this.device, id);
		void this.load();
	}

	put(terminal: Terminal): void {
		const others = (this.all ?? []).filter(({ id }) => id !== terminal.id);
		this.all = [...others, terminal].sort((a, b) => a.created_at - b.created_at);
	}
}
