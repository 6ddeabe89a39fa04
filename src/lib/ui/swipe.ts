// How a finger on a row becomes an open tray of actions. Only numbers here: the row feeds it and draws it.

/** Before this many pixels it may still be a tap or a scroll. */
const SLOP = 8;
/** Past this share of the tray it opens by itself. */
const OPEN_SHARE = 0.4;
/** Or by a flick this fast, in px per ms. */
const FLICK = 0.4;
/** Past its end the tray follows with this much of the finger's way. */
const STRETCH = 0.2;

export class Swipe {
	/** How far the row has moved to the left, in px. */
	offset = 0;
	open = false;
	#start: { x: number; y: number; offset: number } | undefined;
	#horizontal: boolean | undefined;
	#last = { x: 0, at: 0 };
	#speed = 0;

	constructor(
		/** The width of the tray in px. */
		private readonly width: () => number
	) {}

	get dragging(): boolean {
		return this.#horizontal === true;
	}

	/** Let go here and slowly, the finger would change it. */
	get armed(): boolean {
		if (!this.dragging) return false;
		const opens = this.offset > this.width() * (this.open ? 1 - OPEN_SHARE : OPEN_SHARE);
		return opens !== this.open;
	}

	down(x: number, y: number, at: number): void {
		this.#start = { x, y, offset: this.offset };
		this.#horizontal = undefined;
		this.#last = { x, at };
		this.#speed = 0;
	}

	/** True when the movement is ours: the row should follow and the page should not scroll. */
	move(x: number, y: number, at: number): boolean {
		if (!this.#start) return false;
		const dx = x - this.#start.x;
		const dy = y - this.#start.y;
		if (this.#horizontal === undefined) {
			if (Math.hypot(dx, dy) < SLOP) return false;
			this.#horizontal = Math.abs(dx) > Math.abs(dy);
			// To the right there is nothing to show.
			if (dx > 0 && this.#start.offset === 0) this.#horizontal = false;
			if (!this.#horizontal) this.#start = undefined;
		}
		if (!this.#horizontal || !this.#start) return false;
		const width = this.width();
		const wanted = Math.max(0, this.#start.offset - dx);
		this.offset = wanted <= width ? wanted : width + (wanted - width) * STRETCH;
		if (at > this.#last.at) this.#speed = (this.#last.x - x) / (at - this.#last.at);
		this.#last = { x, at };
		return true;
	}

	/** The finger left. True when it was a swipe, so that it is not taken for a tap. */
	up(at: number): boolean {
		const swiped = this.#horizontal === true;
		if (swiped) {
			const resting = at - this.#last.at > 100;
			const speed = resting ? 0 : this.#speed;
			if (speed > FLICK) this.settle(true);
			else if (speed < -FLICK) this.settle(false);
			else this.settle(this.offset > this.width() * (this.open ? 1 - OPEN_SHARE : OPEN_SHARE));
		}
		this.#start = undefined;
		this.#horizontal = undefined;
		return swiped;
	}

	/** The system took the finger over, for example for scrolling. */
	cancel(): void {
		this.#start = undefined;
		this.#horizontal = undefined;
		this.settle(this.open);
	}

	settle(open: boolean): void {
		this.open = open;
		this.offset = open ? this.width() : 0;
	}
}
