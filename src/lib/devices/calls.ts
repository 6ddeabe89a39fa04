// What can be done to a device.

import type { ConnectionToken, DeviceType, StopAllAnswer } from '$lib/api/types';
import { answer, request } from '$lib/host';

export function createDevice(name: string, type: DeviceType): Promise<ConnectionToken> {
	return answer(request.POST('/api/v1/devices', { body: { name, type } }));
}

/** A new token for a device that is not connected; the one before stops working. */
export function newToken(id: string): Promise<ConnectionToken> {
	return answer(request.POST('/api/v1/devices/{id}/token', { params: { path: { id } } }));
}

export function stopAllTasks(id: string): Promise<StopAllAnswer> {
	return answer(request.POST('/api/v1/devices/{id}/tasks/stop', { params: { path: { id } } }));
}

/** For good: the device's key is removed and its agent told to stop. */
export async function removeDevice(id: string): Promise<void> {
	await answer(request.DELETE('/api/v1/devices/{id}', { params: { path: { id } } }));
}
