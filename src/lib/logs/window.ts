// Which lines are on the screen while all are of one height: plain arithmetic, however many there are. Only wrapped
// lines, each of its own height, need somebody who measures them.

import type { Row } from './tail.svelte';

/** px */
export const ROW = 22;
/** Lines that are drawn beyond both ends, so that scrolling shows no hole. */
const BEYOND = 12;

export interface Shown {
	row: Row | undefined;
	index: number;
	/** The place on the screen that it has: a line that comes takes the element of one that went. */
	key: number;
}

export interface View {
	/** How far it is scrolled, px; at its end where that is `undefined`. */
	top: number | undefined;
	/** px */
	height: number;
}

export function shownOf(rows: readonly Row[], { top, height }: View): Shown[] {
	const fit = Math.ceil(height / ROW) + 1;
	// Always as many as there are places, so that no element comes or goes.
	const places = fit + 2 * BEYOND;
	const first = top === undefined ? rows.length : Math.floor(top / ROW);
	const start = Math.max(0, Math.min(first - BEYOND, rows.length - places));
	return rows
		.slice(start, start + places)
		.map((row, offset) => ({ row, index: start + offset, key: row.key % places }));
}
