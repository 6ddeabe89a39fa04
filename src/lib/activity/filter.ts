/**
 * What the activity page shows, as the URL says it. The URL is the state: a filtered view can be linked and survives a
 * reload. Unknown values are ignored rather than refused.
 */

import type { EventRecord } from '$lib/api/types';

/** Groups of event types and the prefix the server filters by. */
export const GROUPS = {
	tasks: 'device.task.',
	devices: 'device.',
	warnings: 'device.gpu_memory.',
	refusals: 'device.link.',
	grants: 'device.grant.',
	terminals: 'device.terminal.',
	files: 'device.file.',
	sign_ins: 'session.',
	failed_sign_ins: 'sign_in.',
	people: 'user.',
	tokens: 'api_token.',
	vault: 'vault.',
	providers: 'provider.',
	models: 'model.',
	routing: 'routing.',
	model_keys: 'model_key.',
	spending: 'spend_cap.',
	chats: 'chat.',
	push: 'push.'
} as const;

export type Group = keyof typeof GROUPS;

export interface AuditFilter {
	group?: Group;
	device?: string;
	actor?: string;
	text?: string;
}

export function filterFrom(parameters: URLSearchParams): AuditFilter {
	const group = parameters.get('type');
	return {
		group: group !== null && Object.hasOwn(GROUPS, group) ? (group as Group) : undefined,
		device: parameters.get('device') || undefined,
		actor: parameters.get('actor') || undefined,
		text: parameters.get('q') || undefined
	};
}

/** `?…` for the address, empty when nothing is filtered. */
export function searchOf(filter: AuditFilter): string {
	const parameters = new URLSearchParams();
	if (filter.group) parameters.set('type', filter.group);
	if (filter.device) parameters.set('device', filter.device);
	if (filter.actor) parameters.set('actor', filter.actor);
	if (filter.text) parameters.set('q', filter.text);
	const text = parameters.toString();
	return text === '' ? '' : `?${text}`;
}

export interface AuditQuery {
	type?: string;
	device?: string;
	actor?: string;
	q?: string;
}

/** The same for the server. */
export function queryOf(filter: AuditFilter): AuditQuery {
	return {
		type: filter.group && GROUPS[filter.group],
		device: filter.device,
		actor: filter.actor,
		q: filter.text
	};
}

/** The address of the whole filtered log as JSON lines. */
export function exportPath(filter: AuditFilter): string {
	const parameters = new URLSearchParams({ format: 'jsonl' });
	for (const [name, value] of Object.entries(queryOf(filter))) if (value) parameters.set(name, value);
	return `/api/v1/audit?${parameters}`;
}

export function isFiltered(filter: AuditFilter): boolean {
	return Object.values(filter).some((value) => value !== undefined);
}

/** Whether a live event belongs in the view, compared as the server does. */
export function fits(filter: AuditFilter, record: EventRecord): boolean {
	if (filter.group && !record.type.startsWith(GROUPS[filter.group])) return false;
	if (filter.device && deviceOf(record) !== filter.device) return false;
	const contains = (text: string, part: string) => text.toLowerCase().includes(part.toLowerCase());
	if (filter.actor && !contains(JSON.stringify(record.actor), filter.actor)) return false;
	return !filter.text || contains(JSON.stringify({ type: record.type, data: record.data }), filter.text);
}

function deviceOf(record: EventRecord): string | undefined {
	const data = record.data;
	if ('device' in data) return data.device.id;
	if ('task' in data) return data.task.device_id;
	return 'device_id' in data ? data.device_id : undefined;
}

/** Newest first, each once. */
export function merged(known: readonly EventRecord[], more: readonly EventRecord[]): EventRecord[] {
	const byCursor = new Map([...known, ...more].map((record) => [record.cursor, record]));
	return [...byCursor.values()].sort((a, b) => b.cursor - a.cursor);
}
