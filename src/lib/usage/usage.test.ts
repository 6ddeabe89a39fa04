import { describe, expect, it } from 'vitest';
import type { UsageSum } from '$lib/api/types';
import { seriesOf } from './days';
import { daysOf, searchOf, spanOf, tooLong, viewFrom, withDay } from './range';

const NOW = Date.UTC(2026, 10, 21, 15, 30);
const view = (search: string) => viewFrom(new URLSearchParams(search));

describe('a range', () => {
	it('counts UTC days, the last of them today', () => {
		expect(daysOf(spanOf(view('range=today'), NOW))).toEqual(['2026-11-21']);
		expect(daysOf(spanOf(view(''), NOW))).toHaveLength(7);
		expect(daysOf(spanOf(view('range=30'), NOW))[0]).toBe('2026-10-23');
	});

	it('of one’s own has both days in it', () => {
		const custom = view('range=custom&from=2026-11-01&to=2026-11-03&by=key');
		expect(daysOf(spanOf(custom, NOW))).toEqual(['2026-11-01', '2026-11-02', '2026-11-03']);
		expect(viewFrom(new URLSearchParams(searchOf(custom)))).toEqual(custom);
	});

	it('stays one when a day is changed to before or after the other', () => {
		const custom = view('range=custom&from=2026-11-01&to=2026-11-03');
		const days = (side: 'from' | 'to', day: string) => {
			const { from, to } = withDay(custom, side, day);
			return [from, to];
		};
		expect(days('from', '2026-11-02')).toEqual(['2026-11-02', '2026-11-03']);
		expect(days('from', '2026-11-20')).toEqual(['2026-11-20', '2026-11-20']);
		expect(days('to', '2026-10-20')).toEqual(['2026-10-20', '2026-10-20']);
		expect(days('from', '')).toEqual(['2026-11-01', '2026-11-03']);
	});

	it('has as many days as the server adds up', () => {
		const span = (from: string) => spanOf(view(`range=custom&from=${from}&to=2026-11-21`), NOW);
		expect(tooLong(span('2025-10-18'))).toBe(false);
		expect(tooLong(span('2025-10-17'))).toBe(true);
	});

	it('that makes no sense is the usual one', () => {
		for (const search of ['range=custom', 'range=custom&from=2026-11-03&to=2026-11-01', 'range=x&by=y']) {
			expect(view(search), search).toEqual({ range: '7', by: 'model' });
		}
	});
});

describe('the bars', () => {
	it('have one for each day, also for those without use', () => {
		const sum = { name: '2026-11-02', cost_micros: 5, input_tokens: 2, output_tokens: 3, requests: 1 };
		const days = ['2026-11-01', '2026-11-02', '2026-11-03'];
		expect(seriesOf(days, [sum as UsageSum], 'cost').values).toEqual([0, 5, 0]);
		expect(seriesOf(days, [sum as UsageSum], 'tokens').values).toEqual([0, 5, 0]);
		expect(seriesOf(days, [], 'requests').times[0]).toBe(Date.UTC(2026, 10, 1, 12) / 1000);
	});
});
