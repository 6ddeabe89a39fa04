// A device's state and numbers, as the views say them.

import type { Capabilities, Device, DeviceType, Sample } from '$lib/api/types';
import { m } from '$lib/i18n';
import type { Status } from '$lib/ui';

export function statusOf(device: Device): Status {
	if (device.status === 'online') return device.gpu_memory_high ? 'attention' : 'ok';
	return device.status === 'offline' ? 'offline' : 'waiting';
}

export function statusWord(device: Device): string {
	if (device.status === 'online')
		return device.gpu_memory_high ? m.device_status_gpu_memory() : m.device_status_online();
	return device.status === 'offline' ? m.device_status_offline() : m.device_status_pending();
}

/** What a device is for. One that computes does so on GPUs only where it has one. */
export function typeWord(type: DeviceType, found?: Capabilities | null): string {
	switch (type) {
		case 'gpu_compute':
			return found?.gpus.length ? m.device_type_gpu_compute() : m.device_type_compute();
		case 'inference':
			return m.device_type_inference();
		case 'llm_endpoint':
			return m.device_type_llm_endpoint();
	}
}

/** The versions worth a look on a card, most telling first. */
export function versionWords(capabilities: Capabilities | null | undefined): string[] {
	if (!capabilities) return [];
	const { cuda, isaac_lab, tensorrt, l4t } = capabilities;
	const words: string[] = [];
	if (cuda) words.push(m.device_cuda({ version: cuda }));
	if (isaac_lab) words.push(m.device_isaac_lab({ version: isaac_lab }));
	if (tensorrt) words.push(m.device_tensorrt({ version: tensorrt }));
	if (l4t) words.push(m.device_l4t({ version: l4t }));
	return words;
}

/** What the GPUs do together: the busiest one's load, all their memory. */
export interface GpuLoad {
	/** 0 to 100; absent where the GPU does not say. */
	percent?: number;
	/** Bytes. */
	used?: number;
	/** Bytes. */
	total?: number;
}

/**
 * `undefined` when there is no GPU. A GPU that shares the machine's memory (GB10, Jetson) reports none of its
 * own: the machine's is what it has.
 */
export function gpuLoad(sample: Sample, capabilities: Capabilities | null | undefined): GpuLoad | undefined {
	const gpus = sample.gpus ?? [];
	if (gpus.length === 0) return undefined;
	const loads = gpus.flatMap((gpu) => (gpu.utilization_percent == null ? [] : [gpu.utilization_percent]));
	const memories = gpus.flatMap((gpu) =>
		gpu.memory_used == null || gpu.memory_total == null
			? []
			: [{ used: gpu.memory_used, total: gpu.memory_total }]
	);
	const load: GpuLoad = {};
	if (loads.length > 0) load.percent = Math.max(...loads);
	if (memories.length > 0) {
		load.used = memories.reduce((sum, memory) => sum + memory.used, 0);
		load.total = memories.reduce((sum, memory) => sum + memory.total, 0);
	} else if (capabilities?.gpus.some((gpu) => gpu.unified_memory) && sample.memory_total > 0) {
		load.used = sample.memory_used;
		load.total = sample.memory_total;
	}
	return load;
}

/** 0 to 1; 0 when the whole is not known. */
export function share(used: number, total: number): number {
	return total > 0 ? used / total : 0;
}
