// The devices page's search, filters and view, which live in the address.

import type { Device, DeviceStatus, DeviceType } from '$lib/api/types';

export interface DeviceFilter {
	q: string;
	status: DeviceStatus | '';
	type: DeviceType | '';
	view: 'cards' | 'servers';
}

const STATUSES: readonly string[] = ['pending', 'online', 'offline'];
const TYPES: readonly string[] = ['gpu_compute', 'inference', 'llm_endpoint'];

/** What an address asks for; what it says wrongly counts as not said. */
export function readFilter(params: URLSearchParams): DeviceFilter {
	const status = params.get('status') ?? '';
	const type = params.get('type') ?? '';
	return {
		q: params.get('q') ?? '',
		status: STATUSES.includes(status) ? (status as DeviceStatus) : '',
		type: TYPES.includes(type) ? (type as DeviceType) : '',
		view: params.get('view') === 'servers' ? 'servers' : 'cards'
	};
}

/** The query of the address with some of it changed; what is as usual is left out. */
export function withFilter(params: URLSearchParams, change: Partial<DeviceFilter>): string {
	const next = new URLSearchParams(params);
	for (const [name, value] of Object.entries(change)) {
		if (value === '' || value === 'cards') next.delete(name);
		else next.set(name, value);
	}
	const text = next.toString();
	return text === '' ? '' : `?${text}`;
}

export function matches(device: Device, { q, status, type }: DeviceFilter): boolean {
	if (status !== '' && device.status !== status) return false;
	if (type !== '' && device.type !== type) return false;
	const words = q.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return true;
	const { capabilities } = device;
	const text = [
		device.name,
		capabilities?.hostname,
		capabilities?.board,
		capabilities?.os,
		...(capabilities?.gpus.map((gpu) => gpu.name) ?? []),
		...(device.latest?.loaded_models ?? [])
	]
		.join(' ')
		.toLowerCase();
	return words.every((word) => text.includes(word));
}
