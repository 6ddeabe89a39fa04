// How large terminals are written, kept on this device.

import { keep, kept } from '$lib/host';

const KEY = 'foreman.terminal.font';
const SMALLEST = 9;
const LARGEST = 24;

class FontSize {
	#current = $state(read());

	/** px */
	get current(): number {
		return this.#current;
	}

	by(step: number): void {
		this.#current = Math.min(LARGEST, Math.max(SMALLEST, this.#current + step));
		keep(KEY, String(this.#current));
	}
}

function read(): number {
	const size = Number(kept(KEY));
	if (size >= SMALLEST && size <= LARGEST) return size;
	return typeof matchMedia === 'function' && matchMedia('(max-width: 759px)').matches ? 12 : 13;
}

export const fontSize = new FontSize();
