/** uPlot set up the way Foreman draws: hairlines, no legend of its own, colours from the design tokens. */
import uPlot from 'uplot';
import { language } from '$lib/i18n';
import { valueWord } from './words';
import type { Chart } from './series';

export interface Colours {
	/** One for each line, in turn. */
	strokes: string[];
	grid: string;
	words: string;
}

export interface PlotHooks {
	colours: () => Colours;
	/** The index of the values under the cursor; null when it left. */
	pointed: (index: number | null) => void;
}

const HOUR = 3600;

/** Options for one chart. `span` is what the time axis shows, in seconds since the epoch. */
export function plotOptions(
	chart: Chart,
	size: { width: number; height: number },
	span: () => [number, number],
	hooks: PlotHooks
): uPlot.Options {
	const { colours } = hooks;
	return {
		...size,
		padding: [8, 8, 0, 0],
		legend: { show: false },
		cursor: { y: false, sync: { key: 'foreman-device' }, points: { size: 6 }, drag: { x: false, y: false } },
		scales: {
			x: { time: true, range: () => span() },
			y: { range: (_, low, high) => [0, top(chart, low, high)] }
		},
		series: [
			{},
			...chart.lines.map((line, index) => ({
				label: line.name,
				width: 1.5,
				stroke: () => colours().strokes[index % colours().strokes.length]!,
				points: { show: false },
				...(chart.lines.length === 1 ? { fill: () => translucent(colours().strokes[0]!) } : {})
			}))
		],
		axes: [
			{
				stroke: () => colours().words,
				font: '11px Inter Variable, sans-serif',
				size: 26,
				space: 64,
				grid: { show: false },
				ticks: { show: false },
				values: (plot, splits) => splits.map((at) => timeWord(at, plot))
			},
			{
				stroke: () => colours().words,
				font: '11px Inter Variable, sans-serif',
				size: 62,
				space: 34,
				grid: { stroke: () => colours().grid, width: 1 },
				ticks: { show: false },
				values: (_, splits) => splits.map((value) => valueWord(value, chart.unit))
			}
		],
		hooks: { setCursor: [(plot) => hooks.pointed(plot.cursor.idx ?? null)] }
	};
}

function top(chart: Chart, _low: number | null, high: number | null): number {
	if (chart.max !== undefined) return chart.max;
	// A flat zero still gets an axis; otherwise a little air above the highest value.
	return (high ?? 0) > 0 ? high! * 1.1 : chart.unit === 'celsius' ? 100 : 1000;
}

function timeWord(at: number, plot: uPlot): string {
	const shown = (plot.scales.x?.max ?? 0) - (plot.scales.x?.min ?? 0);
	const options: Intl.DateTimeFormatOptions =
		shown > 48 * HOUR ? { day: 'numeric', month: 'short' } : { hour: '2-digit', minute: '2-digit' };
	return new Intl.DateTimeFormat(language.formats, options).format(at * 1000);
}

/** `rgb(…)` as the browser resolves it, at a tenth. */
function translucent(colour: string): string {
	const parts = colour.match(/[\d.]+/g);
	return parts && parts.length >= 3 ? `rgba(${parts[0]}, ${parts[1]}, ${parts[2]}, 0.1)` : 'transparent';
}

/** The colours of the probes: spans whose `color` is a token, so that the browser resolves light and dark. */
export function coloursFrom(probes: HTMLElement): Colours {
	const [grid, words, ...strokes] = [...probes.children].map((probe) => getComputedStyle(probe).color);
	return { grid: grid ?? 'gray', words: words ?? 'gray', strokes: strokes.length > 0 ? strokes : ['gray'] };
}
