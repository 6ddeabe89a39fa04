import { describe, expect, it } from 'vitest';
import type { Capabilities } from '$lib/api/types';
import { m } from '$lib/i18n';
import { typeWord } from './words';

const found = (...gpus: string[]) => ({ gpus: gpus.map((name) => ({ name })) }) as Capabilities;

describe('what a device is called', () => {
	it('names a GPU only where one was found', () => {
		expect(typeWord('gpu_compute', found('GB10'))).toBe(m.device_type_gpu_compute());
		expect(typeWord('gpu_compute', found())).toBe(m.device_type_compute());
		expect(typeWord('gpu_compute')).toBe(m.device_type_compute());
	});

	it('is what it is for in every other case', () => {
		expect(typeWord('inference', found())).toBe(m.device_type_inference());
		expect(typeWord('llm_endpoint', found('GB10'))).toBe(m.device_type_llm_endpoint());
	});
});
