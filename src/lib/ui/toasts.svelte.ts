// Short notices at the edge: what was done, with a way back where there is one.

export interface Toast {
	text: string;
	/** A way back or onward: "Undo", "Show". */
	action?: { label: string; run: () => void };
	tone?: 'plain' | 'failed';
}

interface Shown extends Toast {
	id: number;
}

/** Long enough to read and to reach; a toast with an action or a failure stays longer. */
const SHORT_MS = 4_000;
const LONG_MS = 9_000;

class Toasts {
	#next = 0;
	shown = $state<Shown[]>([]);

	show(toast: Toast): void {
		const id = this.#next++;
		this.shown = [...this.shown.slice(-2), { ...toast, id }];
		setTimeout(() => this.drop(id), toast.action || toast.tone === 'failed' ? LONG_MS : SHORT_MS);
	}

	drop(id: number): void {
		this.shown = this.shown.filter((toast) => toast.id !== id);
	}
}

export const toasts = new Toasts();
