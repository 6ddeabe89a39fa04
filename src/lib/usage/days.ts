/** From the sums of days to what the chart draws. Knows neither the chart library nor a component. */
import type { UsageSum } from '$lib/api/types';

export interface DaySeries {
	/** Seconds since the epoch, at noon: a bar stands in the middle of its day. */
	times: number[];
	values: number[];
}

export type Measure = 'cost' | 'tokens' | 'requests';

export function measured(sum: UsageSum, measure: Measure): number {
	switch (measure) {
		case 'cost':
			return sum.cost_micros;
		case 'tokens':
			return sum.input_tokens + sum.output_tokens;
		case 'requests':
			return sum.requests;
	}
}

export function seriesOf(days: readonly string[], sums: readonly UsageSum[], measure: Measure): DaySeries {
	const known = new Map(sums.map((sum) => [sum.name, measured(sum, measure)]));
	return {
		times: days.map((day) => Date.parse(`${day}T12:00:00Z`) / 1000),
		values: days.map((day) => known.get(day) ?? 0)
	};
}
