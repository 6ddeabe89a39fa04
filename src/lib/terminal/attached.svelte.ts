// One terminal as this page has it: its link to the device, what is known of it, and the screen it is drawn on.

import type { Terminal, TerminalEnded } from '$lib/api/types';
import { device, type LinkState, type TerminalDoor } from '$lib/host';
import { m } from '$lib/i18n';
import { bytes } from '$lib/format';
import { NO_MODIFIERS, withModifiers, type Modifiers } from './keys';
import type { Screen } from './screen';

/** Output that waits to be drawn: above this the link is left for a while, below the other it is taken up. Bytes. */
const HIGH_WATER = 8 * 1024 * 1024;
const LOW_WATER = 256 * 1024;

export class Attached {
	link = $state.raw<LinkState>({ kind: 'connecting', since: Date.now() });
	terminal = $state.raw<Terminal>();
	mayWrite = $state(false);
	ended = $state.raw<TerminalEnded>();
	/** Typed bytes that wait for the device, while it is cut off. */
	waiting = $state(0);
	/** Of the key bar: held for the next key. */
	modifiers = $state<Modifiers>(NO_MODIFIERS);
	/** Drawn in another size than this window's, because somebody else decided it. */
	foreignSize = $state(false);

	#link: TerminalDoor | undefined;
	#screen: Screen | undefined;
	#paused = false;
	/** This window has said its size, and no other since. */
	#ours: { cols: number; rows: number } | undefined;

	constructor(
		private readonly deviceId: string,
		readonly id: string
	) {}

	start(screen: Screen): void {
		this.#screen = screen;
		this.#link = device(this.deviceId).attach(this.id, {
			output: (data, replayed) => {
				screen.write(data, replayed, () => this.#drained());
				if (screen.waiting > HIGH_WATER && !this.#paused) {
					this.#paused = true;
					this.#link?.pause();
				}
			},
			gap: (missing) => screen.note(m.terminal_gap({ size: bytes(missing) })),
			state: ({ terminal, may_write }) => {
				const first = this.terminal === undefined;
				this.terminal = terminal;
				this.mayWrite = may_write;
				screen.setReadOnly(!may_write);
				this.#settleSize(terminal, first);
			},
			ended: (ended) => {
				this.ended = ended;
				this.mayWrite = false;
				screen.setReadOnly(true);
			},
			link: (state) => {
				this.link = state;
				this.#count();
			}
		});
	}

	stop(): void {
		this.#link?.close();
		this.#link = undefined;
		this.#screen = undefined;
	}

	retry(): void {
		this.#link?.reconnect();
	}

	/** From the keyboard or the bar, with what is held. */
	type(text: string): void {
		// Before anything is known it is kept; a reader's is let go.
		if ((this.terminal && !this.mayWrite) || this.ended) return;
		const held = withModifiers(text, this.modifiers);
		this.modifiers = NO_MODIFIERS;
		// Who types wants to see it in their own window.
		if (this.foreignSize) this.claimSize();
		this.#screen?.toEnd();
		this.#link?.type(new TextEncoder().encode(held));
		this.#count();
	}

	/** This window decides the size. */
	claimSize(): void {
		const size = this.#screen?.proposed();
		if (!size || !this.mayWrite) return;
		this.foreignSize = false;
		this.#say(size);
	}

	/** The window changed: said to the device when this one decides. */
	fitted(): void {
		const size = this.#screen?.proposed();
		if (!size || !this.terminal) return;
		if (this.mayWrite && !this.foreignSize) this.#say(size);
	}

	#say(size: { cols: number; rows: number }): void {
		this.#screen?.resize(size.cols, size.rows);
		if (this.#ours?.cols === size.cols && this.#ours.rows === size.rows) return;
		this.#ours = size;
		this.#link?.resize(size.cols, size.rows);
	}

	#settleSize(terminal: Terminal, first: boolean): void {
		// Alone, or only readers beside: this window decides.
		if (first && this.mayWrite && terminal.writers <= 1) return this.claimSize();
		const { cols, rows } = terminal;
		const asWeSaid = this.#ours?.cols === cols && this.#ours.rows === rows;
		// A state from before our own word is no other's decision.
		if (asWeSaid || (this.#ours && terminal.writers <= 1)) return;
		if (this.#ours) {
			this.#ours = undefined;
			this.#link?.letResizeGo();
		}
		this.foreignSize = this.mayWrite;
		this.#screen?.resize(cols, rows);
	}

	#drained(): void {
		if (this.#paused && (this.#screen?.waiting ?? 0) < LOW_WATER) {
			this.#paused = false;
			this.#link?.resume();
		}
	}

	#count(): void {
		this.waiting = this.link.kind === 'live' ? 0 : (this.#link?.pendingBytes ?? 0);
	}
}
