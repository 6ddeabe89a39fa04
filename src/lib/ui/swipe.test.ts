import { describe, expect, it } from 'vitest';
import { Swipe } from './swipe';

const WIDTH = 200;
const swipe = () => new Swipe(() => WIDTH);

/** A finger going from 300 to `to` in even steps over `ms`. */
function drag(row: Swipe, to: number, { ms = 400, dy = 0, from = 300, rest = 0 } = {}): boolean {
	row.down(from, 100, 0);
	for (let step = 1; step <= 10; step++) {
		row.move(from + ((to - from) * step) / 10, 100 + (dy * step) / 10, (ms * step) / 10);
	}
	return row.up(ms + rest);
}

describe('swipe', () => {
	it('opens after enough of the way and closes after too little', () => {
		const row = swipe();
		expect(drag(row, 300 - WIDTH / 2, { ms: 2000 })).toBe(true);
		expect(row).toMatchObject({ open: true, offset: WIDTH });

		const timid = swipe();
		drag(timid, 300 - WIDTH / 4, { ms: 2000 });
		expect(timid).toMatchObject({ open: false, offset: 0 });
	});

	it('opens by a short flick', () => {
		const row = swipe();
		drag(row, 250, { ms: 60 });
		expect(row.open).toBe(true);
	});

	it('counts a flick no more after the finger rested', () => {
		const row = swipe();
		drag(row, 250, { ms: 60, rest: 500 });
		expect(row.open).toBe(false);
	});

	it('leaves scrolling and taps alone', () => {
		const row = swipe();
		expect(drag(row, 280, { dy: 120 })).toBe(false);
		expect(row.offset).toBe(0);
		expect(drag(row, 297)).toBe(false);
		expect(row.open).toBe(false);
	});

	it('shows nothing to the right', () => {
		const row = swipe();
		expect(drag(row, 380)).toBe(false);
		expect(row.offset).toBe(0);
	});

	it('follows the finger, and resists past the end', () => {
		const row = swipe();
		row.down(300, 0, 0);
		expect(row.move(250, 2, 100)).toBe(true);
		expect(row.offset).toBe(50);
		row.move(0, 2, 200);
		expect(row.offset).toBeGreaterThan(WIDTH);
		expect(row.offset).toBeLessThan(300);
	});

	it('says where letting go would change it, both ways', () => {
		const row = swipe();
		row.down(300, 0, 0);
		row.move(300 - WIDTH * 0.3, 0, 500);
		expect(row.armed).toBe(false);
		row.move(300 - WIDTH * 0.5, 0, 1000);
		expect(row.armed).toBe(true);
		row.move(300 - WIDTH * 0.3, 0, 1500);
		expect(row.armed).toBe(false);
		row.move(300 - WIDTH * 0.5, 0, 2000);
		row.up(3000);
		expect(row).toMatchObject({ open: true, armed: false });
		row.down(100, 0, 4000);
		row.move(100 + WIDTH * 0.5, 0, 5000);
		expect(row.armed).toBe(true);
	});

	it('closes again to the right', () => {
		const row = swipe();
		drag(row, 100, { ms: 2000 });
		drag(row, 260, { from: 100, ms: 2000 });
		expect(row).toMatchObject({ open: false, offset: 0 });
	});

	it('falls back when the system takes the finger over', () => {
		const row = swipe();
		row.down(300, 0, 0);
		row.move(200, 0, 100);
		row.cancel();
		expect(row).toMatchObject({ open: false, offset: 0 });
	});
});
