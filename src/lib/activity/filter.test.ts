import { describe, expect, it } from 'vitest';
import type { EventRecord } from '$lib/api/types';
import { exportPath, filterFrom, fits, merged, queryOf, searchOf } from './filter';

function record(cursor: number, name = 'ada'): EventRecord {
	return {
		type: 'device.deleted',
		data: { device_id: 'd1', name: 'jetson' },
		cursor,
		at: cursor * 1000,
		actor: { kind: 'user', id: 'u', name },
		hash: ''
	};
}

describe('the filter in the address', () => {
	it('comes back as it was written', () => {
		const filter = { group: 'tasks', device: 'd1', actor: 'a b', text: 'ü&x' } as const;
		expect(filterFrom(new URLSearchParams(searchOf(filter)))).toEqual(filter);
	});

	it('ignores groups it does not know', () => {
		expect(filterFrom(new URLSearchParams('type=constructor'))).toEqual({});
	});

	it('is the same for the list and for the export', () => {
		const filter = { group: 'failed_sign_ins', text: 'x' } as const;
		expect(queryOf(filter)).toMatchObject({ type: 'sign_in.', q: 'x' });
		expect(exportPath(filter)).toBe('/api/v1/audit?format=jsonl&type=sign_in.&q=x');
	});
});

describe('live events', () => {
	it('show when they fit', () => {
		expect(fits({}, record(1))).toBe(true);
		expect(fits({ group: 'devices', device: 'd1', actor: 'ADA', text: 'JETSON' }, record(1))).toBe(true);
		expect(fits({ group: 'tasks' }, record(1))).toBe(false);
		expect(fits({ device: 'd2' }, record(1))).toBe(false);
		expect(fits({ actor: 'bob' }, record(1))).toBe(false);
	});

	it('come once and in order', () => {
		const list = merged([record(3), record(1)], [record(2), record(3), record(4)]);
		expect(list.map((one) => one.cursor)).toEqual([4, 3, 2, 1]);
	});
});
