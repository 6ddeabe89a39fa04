import { describe, expect, it } from 'vitest';
import type { Row } from './tail.svelte';
import { ROW, shownOf } from './window';

const rows = (count: number, from = 0): Row[] =>
	Array.from({ length: count }, (_, at) => ({ key: from + at, gap: true }));
const span = (shown: ReturnType<typeof shownOf>) => [shown[0]?.index, shown.at(-1)?.index];

describe('the lines on the screen', () => {
	it('are the last ones at the end, and as few of many as of few', () => {
		const view = { top: undefined, height: 440 };
		expect(shownOf(rows(20_000), view).length).toBe(shownOf(rows(200), view).length);
		expect(span(shownOf(rows(20_000), view)).at(-1)).toBe(19_999);
		expect(shownOf([], view)).toEqual([]);
		expect(span(shownOf(rows(3), view))).toEqual([0, 2]);
	});

	it('are those that it is scrolled to, with some beyond', () => {
		for (const top of [0, ROW * 100, ROW * 100 + 5, ROW * 990, ROW * 5_000]) {
			const shown = shownOf(rows(1_000), { top, height: 440 });
			const first = Math.min(Math.floor(top / ROW), 979);
			expect(shown[0]!.index).toBeLessThanOrEqual(first);
			expect(shown.at(-1)!.index).toBeGreaterThanOrEqual(Math.min(999, first + 20));
			expect(shown.length).toBeLessThan(60);
		}
	});

	it('keep their elements while others come, and no two have the same', () => {
		const view = { top: ROW * 300, height: 440 };
		const before = shownOf(rows(1_000), view);
		expect(shownOf(rows(1_400), view)).toEqual(before);
		expect(new Set(before.map(({ key }) => key)).size).toBe(before.length);
		// The oldest were let go, and the page scrolled back by as many: the same lines in the same elements.
		const later = shownOf(rows(1_000, 200), { top: ROW * 100, height: 440 });
		expect(later.map(({ key, row }) => [key, row!.key])).toEqual(
			before.map(({ key, row }) => [key, row!.key])
		);
		const places = new Set(shownOf(rows(1_000), { top: undefined, height: 431 }).map(({ key }) => key));
		for (let at = 0; at < 200; at += 7) {
			const shown = shownOf(rows(1_000, at), { top: undefined, height: 431 });
			expect(shown.length).toBe(places.size);
			expect(new Set(shown.map(({ key }) => key)), 'no element comes or goes').toEqual(places);
		}
	});
});
