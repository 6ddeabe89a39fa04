import { describe, expect, it } from 'vitest';
import { clockTime, timeOptions } from './times';

describe('times of a day', () => {
	it('are written as clocks show them', () => {
		expect([0, 90, 1439].map(clockTime)).toEqual(['00:00', '01:30', '23:59']);
	});

	it('come in half hours, and with what was chosen before', () => {
		expect(timeOptions(0)).toHaveLength(48);
		const labels = timeOptions(425).map(({ label }) => label);
		expect(labels.slice(14, 16)).toEqual(['07:00', '07:05']);
	});
});
