import { expect, it } from 'vitest';
import type { Task, TaskState } from '$lib/api/types';
import { merged } from './merge';

function task(id: string, state: TaskState, created_at: number, version = 1): Task {
	return {
		id,
		device_id: 'd',
		command: { shell: `run ${id}` },
		state,
		requested_by: { kind: 'host' },
		created_at,
		output_bytes: 0,
		output_start: 0,
		version
	};
}

it('shows each task once, in its newest version', () => {
	const fetched = [task('b', 'running', 20, 5), task('a', 'succeeded', 10, 9)];
	const live = [task('c', 'queued', 30), task('b', 'failed', 20, 7), task('a', 'running', 10, 4)];
	expect(merged(fetched, live, {}, false).map((one) => [one.id, one.state])).toEqual([
		['c', 'queued'],
		['b', 'failed'],
		['a', 'succeeded']
	]);
});

it('drops what no longer fits', () => {
	const fetched = [task('a', 'running', 10, 1)];
	const live = [task('a', 'succeeded', 10, 2)];
	expect(merged(fetched, live, { state: 'active' }, false)).toEqual([]);
});

it('keeps back what is older than the last page, unless it still runs', () => {
	const fetched = [task('c', 'failed', 30), task('b', 'failed', 20)];
	const live = [task('old', 'failed', 5), task('long', 'running', 1)];
	expect(merged(fetched, live, {}, true).map((one) => one.id)).toEqual(['c', 'b', 'long']);
	expect(merged(fetched, live, {}, false).map((one) => one.id)).toEqual(['c', 'b', 'old', 'long']);
});
