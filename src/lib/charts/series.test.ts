import { describe, expect, it } from 'vitest';
import type { TimedSample } from '$lib/api/types';
import { chartsOf, extended, summarise } from './series';

function at(seconds: number, more: Partial<TimedSample['sample']> = {}): TimedSample {
	return {
		at: seconds * 1000,
		sample: {
			cpu_percent: seconds,
			memory_used: 4,
			memory_total: 8,
			disk_used: 1,
			disk_total: 2,
			net_rx: 10,
			net_tx: 20,
			running_tasks: 0,
			uptime_s: seconds,
			...more
		}
	};
}

describe('chartsOf', () => {
	it('leaves out what the device does not have', () => {
		const data = chartsOf([at(0), at(10)]);
		expect(data.charts.map((chart) => chart.id)).toEqual(['cpu', 'memory', 'network', 'disk']);
		expect(data.times).toEqual([0, 10]);
		expect(data.charts[1]!.max).toBe(8);
	});

	it('leaves a hole where the device was silent', () => {
		const data = chartsOf([at(0), at(10), at(20), at(100), at(110)]);
		expect(data.times).toEqual([0, 10, 20, 60, 100, 110]);
		expect(data.charts[0]!.lines[0]!.values).toEqual([0, 10, 20, null, 100, 110]);
	});

	it('draws a GPU that says its use but not its memory', () => {
		const data = chartsOf([at(0, { gpus: [{ index: 0, utilization_percent: 70 }] }), at(10)]);
		const ids = data.charts.map((chart) => chart.id);
		expect(ids).toContain('gpu');
		expect(ids).not.toContain('gpu_memory');
		expect(data.charts.find((chart) => chart.id === 'gpu')!.lines[0]!.values).toEqual([70, null]);
	});

	it('keeps the hottest sensors', () => {
		const temperatures = Array.from({ length: 9 }, (_, n) => ({ label: `s${n}`, celsius: n * 10 }));
		const chart = chartsOf([at(0, { temperatures })]).charts.find((one) => one.id === 'temperature')!;
		expect(chart.lines.map((line) => line.name)).toEqual(['s8', 's7', 's6', 's5', 's4']);
	});

	it('is empty without measurements', () => {
		expect(chartsOf([])).toEqual({ times: [], charts: [] });
	});
});

describe('extended', () => {
	it('adds what is new and lets go what is old', () => {
		const rows = extended([at(0), at(10), at(20)], at(30), 10_000);
		expect(rows.map((row) => row.at)).toEqual([10_000, 20_000, 30_000]);
	});

	it('ignores what is known', () => {
		const rows = [at(0), at(10)];
		expect(extended(rows, at(10), 0)).toBe(rows);
	});
});

it('summarises a line with holes', () => {
	expect(summarise({ name: 'x', values: [2, null, 4] })).toEqual({
		name: 'x',
		latest: 4,
		lowest: 2,
		highest: 4,
		average: 3
	});
});
