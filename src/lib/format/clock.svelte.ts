// One ticking now for every "3 min ago", on the server's clock: a wrong clock here must not say "in 2 hours".

class Clock {
	#now = $state(Date.now());
	#offset = 0;

	constructor() {
		if (typeof window === 'undefined') return;
		setInterval(() => this.#tick(), 1000);
		document.addEventListener('visibilitychange', () => this.#tick());
	}

	/** ms since epoch by the server's clock, moving once a second. */
	get now(): number {
		return this.#now;
	}

	/** The server said what time it is. Small differences are the way the answer took, and ignored. */
	serverSaid(time: number): void {
		const offset = time - Date.now();
		this.#offset = Math.abs(offset) < 2000 ? 0 : offset;
		this.#tick();
	}

	#tick(): void {
		if (typeof document === 'undefined' || document.visibilityState !== 'hidden') {
			this.#now = Date.now() + this.#offset;
		}
	}
}

export const clock = new Clock();
