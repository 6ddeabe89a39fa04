import { describe, expect, it } from 'vitest';
import type { Task } from '$lib/api/types';
import { filterFrom, fits, isFiltered, queryOf, searchOf } from './filter';

const task: Task = {
	id: 't',
	device_id: 'd1',
	command: { shell: 'make all\nmake install' },
	state: 'failed',
	requested_by: { kind: 'host' },
	created_at: 0,
	output_bytes: 0,
	output_start: 0,
	version: 1
};

describe('the filter in the address', () => {
	it('comes back as it was written', () => {
		const filter = { state: 'bad', device: 'd1', text: 'a&b' } as const;
		expect(filterFrom(new URLSearchParams(searchOf(filter)))).toEqual(filter);
		expect(searchOf({})).toBe('');
		expect(isFiltered(filterFrom(new URLSearchParams('state=&q=')))).toBe(false);
	});

	it('ignores what it does not know', () => {
		expect(filterFrom(new URLSearchParams('state=toString')).state).toBeUndefined();
	});

	it('asks the server for every state of the group', () => {
		expect(queryOf({ state: 'bad' }).state).toBe('failed,stopped,lost,refused');
	});
});

describe('fits', () => {
	it('compares state, device and every line of the command', () => {
		expect(fits({ state: 'bad', device: 'd1', text: 'INSTALL' }, task)).toBe(true);
		expect(fits({ state: 'active' }, task)).toBe(false);
		expect(fits({ device: 'd2' }, task)).toBe(false);
		expect(fits({ text: 'clean' }, task)).toBe(false);
	});

	it('believes the server about the text', () => {
		expect(fits({ text: 'clean' }, task, true)).toBe(true);
	});
});
