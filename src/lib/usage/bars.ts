/** uPlot set up for one bar a day, in UTC, the way Foreman draws. */
import uPlot from 'uplot';
import type { PlotHooks } from '$lib/charts/plot';
import { language } from '$lib/i18n';

const DAY_S = 86_400;
/** The top of an axis without any value: a dollar, and as good as anything else. */
const EMPTY_TOP = 1_000_000;

export function barOptions(
	size: { width: number; height: number },
	word: (value: number) => string,
	{ colours, pointed }: PlotHooks
): uPlot.Options {
	return {
		...size,
		padding: [8, 8, 0, 0],
		legend: { show: false },
		cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
		scales: {
			// Half a day on either side, so that the first and last bar are whole.
			x: { time: true, range: (_, from, to) => [from - DAY_S / 2, to + DAY_S / 2] },
			y: { range: (_, _low, high) => [0, high > 0 ? high * 1.1 : EMPTY_TOP] }
		},
		series: [
			{},
			{
				stroke: () => colours().strokes[0]!,
				fill: () => colours().strokes[0]!,
				width: 0,
				paths: uPlot.paths.bars?.({ size: [0.7, 48], radius: 0.1 }),
				points: { show: false }
			}
		],
		axes: [
			{
				stroke: () => colours().words,
				font: '11px Inter Variable, sans-serif',
				size: 26,
				space: 56,
				grid: { show: false },
				ticks: { show: false },
				splits: (plot) => thinned(plot.data[0] ?? [], Math.max(2, Math.floor(plot.width / 72))),
				values: (_, splits) => splits.map(dayOf)
			},
			{
				stroke: () => colours().words,
				font: '11px Inter Variable, sans-serif',
				size: 62,
				space: 34,
				grid: { stroke: () => colours().grid, width: 1 },
				ticks: { show: false },
				values: (_, splits) => splits.map(word)
			}
		],
		hooks: { setCursor: [(plot) => pointed(plot.cursor.idx ?? null)] }
	};
}

/** Every nth, so that at most so many words stand beside each other. */
export function thinned(values: ArrayLike<number>, most: number): number[] {
	const step = Math.max(1, Math.ceil(values.length / most));
	return Array.from(values).filter((_, index) => index % step === 0);
}

function dayOf(at: number): string {
	const options = { day: 'numeric', month: 'short', timeZone: 'UTC' } as const;
	return new Intl.DateTimeFormat(language.formats, options).format(at * 1000);
}
