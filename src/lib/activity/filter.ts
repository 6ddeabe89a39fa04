/**
 * What the activity page shows, as the URL says it. The URL is the state: a filtered view can be linked and survives a
 * reload. Unknown values are ignored rather than refused.
 */

/** Groups of event types and the prefix the server filters by. */
export const GROUPS = {
	tasks: 'device.task.',
	devices: 'device.',
	warnings: 'device.gpu_memory.',
	sign_ins: 'session.',
	failed_sign_ins: 'sign_in.',
	people: 'user.',
	tokens: 'api_token.'
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
