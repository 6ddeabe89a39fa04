// One ticking now for every "3 min ago", on the server's clock: a wrong clock here must not say "in 2 hours". It ticks
// only while something on the page shows it, and no more often than that can change: each tick wakes the computer.

import { untrack } from 'svelte';
import { createSubscriber } from 'svelte/reactivity';

const SECOND_MS = 1000;
/** For what is said in minutes: at most so late. */
const SLOW_MS = 20_000;
const MINUTE_MS = 60_000;

/** Wakes whoever reads it, so often, while the page is seen; nobody reads it, nothing ticks. */
const every = (ms: number, ticks: Set<() => void>) =>
	createSubscriber((update) => {
		const seen = () => {
			if (document.visibilityState !== 'hidden') update();
		};
		const timer = setInterval(seen, ms);
		document.addEventListener('visibilitychange', seen);
		ticks.add(update);
		return () => {
			clearInterval(timer);
			document.removeEventListener('visibilitychange', seen);
			ticks.delete(update);
		};
	});

export class Clock {
	#offset = 0;
	#ticks = new Set<() => void>();
	#seconds = every(SECOND_MS, this.#ticks);
	#slowly = every(SLOW_MS, this.#ticks);

	/** ms since epoch by the server's clock, moving once a second. */
	get now(): number {
		this.#seconds();
		return this.#exact();
	}

	/** The same, moving a few times a minute. */
	get slow(): number {
		this.#slowly();
		return this.#exact();
	}

	/** The minute it is: what depends on it changes only with it. */
	get minute(): number {
		return Math.floor(this.slow / MINUTE_MS) * MINUTE_MS;
	}

	/** Now, for saying how long ago `at` was: by the second only while that is said in seconds. */
	near(at: number): number {
		const slow = this.slow;
		return Math.abs(slow - at) < MINUTE_MS ? this.now : slow;
	}

	/** The server said what time it is. Small differences are the way the answer took, and ignored. */
	serverSaid(time: number): void {
		const difference = time - Date.now();
		const offset = Math.abs(difference) < 2000 ? 0 : difference;
		if (offset === this.#offset) return;
		this.#offset = offset;
		untrack(() => this.#ticks.forEach((update) => update()));
	}

	#exact(): number {
		return Date.now() + this.#offset;
	}
}

export const clock = new Clock();
