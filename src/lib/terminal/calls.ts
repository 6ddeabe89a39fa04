// What can be done to the terminals of a device.

import type { OpenTerminal, Terminal, UpdateTerminal } from '$lib/api/types';
import { device } from '$lib/host';

export async function listTerminals(id: string): Promise<Terminal[]> {
	return (await device(id).call<{ items: Terminal[] }>('GET', '/terminals')).items;
}

export function openTerminal(id: string, wanted: Partial<OpenTerminal>): Promise<Terminal> {
	return device(id).call('POST', '/terminals', { json: wanted });
}

export function updateTerminal(id: string, terminal: string, change: UpdateTerminal): Promise<Terminal> {
	return device(id).call('PATCH', `/terminals/${terminal}`, { json: change });
}

export async function endTerminal(id: string, terminal: string): Promise<void> {
	await device(id).call('DELETE', `/terminals/${terminal}`);
}
