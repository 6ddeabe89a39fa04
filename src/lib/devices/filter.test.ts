import { describe, expect, it } from 'vitest';
import type { Capabilities, Device } from '$lib/api/types';
import { matches, readFilter, withFilter } from './filter';

const device = (change: Partial<Device> = {}): Device => ({
	id: '1',
	name: 'DGX Spark',
	type: 'gpu_compute',
	status: 'online',
	status_since: 0,
	created_at: 0,
	version: 1,
	capabilities: {
		hostname: 'spark-1',
		gpus: [{ name: 'NVIDIA GB10', unified_memory: true }]
	} as Capabilities,
	...change
});
const filter = (query: string) => readFilter(new URLSearchParams(query));

describe('the filter in the address', () => {
	it('finds by name, host and GPU, every word', () => {
		expect(matches(device(), filter('q=spark'))).toBe(true);
		expect(matches(device(), filter('q=gb10 dgx'))).toBe(true);
		expect(matches(device(), filter('q=spark orin'))).toBe(false);
		expect(matches(device({ capabilities: undefined }), filter('q=dgx'))).toBe(true);
	});

	it('narrows by status and type', () => {
		expect(matches(device(), filter('status=offline'))).toBe(false);
		expect(matches(device(), filter('status=online&type=gpu_compute'))).toBe(true);
		expect(matches(device(), filter('type=inference'))).toBe(false);
	});

	it('takes nonsense for nothing', () => {
		expect(filter('status=asleep&type=toaster&view=3d')).toEqual({
			q: '',
			status: '',
			type: '',
			view: 'cards'
		});
	});

	it('leaves out what is as usual and keeps the rest', () => {
		const params = new URLSearchParams('status=online&view=servers&other=1');
		expect(withFilter(params, { status: '', view: 'cards' })).toBe('?other=1');
		expect(withFilter(params, { q: 'a b' })).toBe('?status=online&view=servers&other=1&q=a+b');
		expect(withFilter(new URLSearchParams(), { q: '' })).toBe('');
	});
});
