// Devices somebody wants at hand, kept in this browser.

import { keep, kept } from '$lib/host';

const KEY = 'foreman.pinned';

class Pins {
	#ids = $state<readonly string[]>(read());

	get ids(): readonly string[] {
		return this.#ids;
	}

	has(id: string): boolean {
		return this.#ids.includes(id);
	}

	toggle(id: string): void {
		this.#ids = this.has(id) ? this.#ids.filter((pinned) => pinned !== id) : [...this.#ids, id];
		keep(KEY, JSON.stringify(this.#ids));
	}
}

function read(): readonly string[] {
	try {
		const ids: unknown = JSON.parse(kept(KEY) ?? '[]');
		return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
	} catch {
		return [];
	}
}

export const pins = new Pins();
