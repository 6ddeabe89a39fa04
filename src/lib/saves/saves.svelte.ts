// The files that the app saves on this machine, and how far each is. A browser shows its own list.

import { app, type Save } from '$lib/host';

/** One that is there is shown for so long, then it is only in its folder. ms */
const SHOWN_MS = 20_000;

class Saves {
	list = $state.raw<Save[]>([]);
	#leaving = new Map<number, ReturnType<typeof setTimeout>>();

	/** Until the returned function is called. */
	watch(): () => void {
		return app().saves.watch((list) => {
			this.list = list;
			for (const { number, state } of list) {
				if (state.kind !== 'done' || this.#leaving.has(number)) continue;
				this.#leaving.set(
					number,
					setTimeout(() => void app().saves.remove(number), SHOWN_MS)
				);
			}
		});
	}

	/** Somebody looks at it: it stays until they close it. */
	stay(number: number): void {
		clearTimeout(this.#leaving.get(number));
	}
}

export const saves = new Saves();
