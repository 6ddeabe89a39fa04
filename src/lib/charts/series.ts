/**
 * From a device's measurements to what a chart draws: one time axis, one array of values a line, nulls where the device
 * was silent. Knows neither the chart library nor a component.
 */
import type { TimedSample } from '$lib/api/types';

export type ChartId = 'cpu' | 'memory' | 'disk' | 'network' | 'gpu' | 'gpu_memory' | 'temperature';
export type Unit = 'percent' | 'bytes' | 'rate' | 'celsius';

export interface Line {
	/** What tells this line from the others of its chart: `rx`, `tx`, a sensor's name, a GPU's index. */
	name: string;
	values: (number | null)[];
}

export interface Chart {
	id: ChartId;
	unit: Unit;
	/** The top of the axis where there is a natural one: 100 %, all memory. */
	max?: number;
	lines: Line[];
}

export interface ChartData {
	/** Seconds since the epoch, rising: what uPlot wants. */
	times: number[];
	charts: Chart[];
}

export interface Summary {
	name: string;
	latest: number | null;
	lowest: number;
	highest: number;
	average: number;
}

/** A device that was silent for so many usual steps leaves a hole in the line instead of a straight bridge. */
const SILENT_STEPS = 3;

/** Everything the measurements allow to draw, in the order of the page. A chart without a value is left out. */
export function chartsOf(samples: readonly TimedSample[]): ChartData {
	const rows = withHoles(samples);
	const last = samples.at(-1)?.sample;
	const column = (pick: (row: TimedSample) => number | null | undefined) =>
		rows.map((row) => ('sample' in row ? (pick(row) ?? null) : null));
	const gpus = indices(samples);
	const charts: Chart[] = [
		{
			id: 'cpu',
			unit: 'percent',
			max: 100,
			lines: [{ name: 'cpu', values: column((row) => row.sample.cpu_percent) }]
		},
		{
			id: 'memory',
			unit: 'bytes',
			max: last?.memory_total,
			lines: [{ name: 'memory', values: column((row) => row.sample.memory_used) }]
		},
		{
			id: 'gpu',
			unit: 'percent',
			max: 100,
			lines: gpus.map((index) => ({
				name: String(index),
				values: column((row) => gpuOf(row, index)?.utilization_percent)
			}))
		},
		{
			id: 'gpu_memory',
			unit: 'bytes',
			max: largest(samples.flatMap((row) => row.sample.gpus?.map((gpu) => gpu.memory_total ?? 0) ?? [])),
			lines: gpus.map((index) => ({
				name: String(index),
				values: column((row) => gpuOf(row, index)?.memory_used)
			}))
		},
		{
			id: 'network',
			unit: 'rate',
			lines: [
				{ name: 'rx', values: column((row) => row.sample.net_rx) },
				{ name: 'tx', values: column((row) => row.sample.net_tx) }
			]
		},
		{
			id: 'disk',
			unit: 'bytes',
			max: last?.disk_total,
			lines: [{ name: 'disk', values: column((row) => row.sample.disk_used) }]
		},
		{ id: 'temperature', unit: 'celsius', lines: temperatures(samples, gpus, column) }
	];
	return {
		times: rows.map((row) => row.at / 1000),
		charts: charts
			.map((chart) => ({
				...chart,
				lines: chart.lines.filter((line) => line.values.some((v) => v !== null))
			}))
			.filter((chart) => chart.lines.length > 0)
	};
}

/** The line in words: for the table beside the picture. */
export function summarise(line: Line): Summary {
	const values = line.values.filter((value) => value !== null);
	return {
		name: line.name,
		latest: line.values.at(-1) ?? null,
		lowest: values.reduce((a, b) => Math.min(a, b), Infinity),
		highest: values.reduce((a, b) => Math.max(a, b), -Infinity),
		average: values.reduce((a, b) => a + b, 0) / values.length
	};
}

/** Puts a live measurement behind the others and lets go what is older than `since`. */
export function extended(samples: readonly TimedSample[], fresh: TimedSample, since: number): TimedSample[] {
	const last = samples.at(-1);
	if (last && fresh.at <= last.at) return samples as TimedSample[];
	const from = samples.findIndex((row) => row.at >= since);
	return [...(from === -1 ? [] : samples.slice(from)), fresh];
}

function withHoles(samples: readonly TimedSample[]): (TimedSample | { at: number })[] {
	const steps = samples.slice(1).map((row, index) => row.at - samples[index]!.at);
	const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
	return samples.flatMap((row, index) => {
		const silent = index > 0 && usual > 0 && steps[index - 1]! > usual * SILENT_STEPS;
		return silent ? [{ at: row.at - steps[index - 1]! / 2 }, row] : [row];
	});
}

function gpuOf(row: TimedSample, index: number) {
	return row.sample.gpus?.find((gpu) => gpu.index === index);
}

function indices(samples: readonly TimedSample[]): number[] {
	const seen = new Set(samples.flatMap((row) => row.sample.gpus?.map((gpu) => gpu.index) ?? []));
	return [...seen].sort((a, b) => a - b);
}

/** More sensors than this make a chart nobody reads: the hottest ones are kept. */
const MOST_SENSORS = 5;

function temperatures(
	samples: readonly TimedSample[],
	gpus: number[],
	column: (pick: (row: TimedSample) => number | null | undefined) => (number | null)[]
): Line[] {
	const peaks = new Map<string, number>();
	for (const { sample } of samples) {
		for (const { label, celsius } of sample.temperatures ?? []) {
			peaks.set(label, Math.max(celsius, peaks.get(label) ?? -Infinity));
		}
	}
	const labels = [...peaks].sort((a, b) => b[1] - a[1]).slice(0, MOST_SENSORS);
	const sensors = labels.map(([label]) => ({
		name: label,
		values: column((row) => row.sample.temperatures?.find((one) => one.label === label)?.celsius)
	}));
	const cards = gpus.map((index) => ({
		name: `GPU ${index}`,
		values: column((row) => gpuOf(row, index)?.celsius)
	}));
	return [...cards, ...sensors].slice(0, MOST_SENSORS + 1);
}

function largest(values: number[]): number | undefined {
	const value = values.reduce((a, b) => Math.max(a, b), 0);
	return value > 0 ? value : undefined;
}
