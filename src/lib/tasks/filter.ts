/** What the list of tasks shows, as the URL says it. Unknown values are ignored. */
import { commandLine, type Task, type TaskState } from '$lib/api/types';

/** Groups of states, and what they are for the server. */
export const STATES = {
	active: ['queued', 'running'],
	done: ['succeeded'],
	bad: ['failed', 'stopped', 'lost', 'refused']
} as const satisfies Record<string, readonly TaskState[]>;

export type StateGroup = keyof typeof STATES;

export interface TaskFilter {
	state?: StateGroup;
	device?: string;
	text?: string;
}

export function filterFrom(parameters: URLSearchParams): TaskFilter {
	const state = parameters.get('state');
	return {
		state: state !== null && Object.hasOwn(STATES, state) ? (state as StateGroup) : undefined,
		device: parameters.get('device') || undefined,
		text: parameters.get('q') || undefined
	};
}

/** `?…` for the address, empty when nothing is filtered. */
export function searchOf(filter: TaskFilter): string {
	const parameters = new URLSearchParams();
	if (filter.state) parameters.set('state', filter.state);
	if (filter.device) parameters.set('device', filter.device);
	if (filter.text) parameters.set('q', filter.text);
	const text = parameters.toString();
	return text === '' ? '' : `?${text}`;
}

/** The same for the server. */
export function queryOf(filter: TaskFilter): { state?: string; device?: string; q?: string } {
	return { state: filter.state && STATES[filter.state].join(','), device: filter.device, q: filter.text };
}

export function isFiltered(filter: TaskFilter): boolean {
	return Object.values(filter).some((value) => value !== undefined);
}

/** Whether a task belongs in the list; `textKnown` when the server has already compared the text. */
export function fits(filter: TaskFilter, task: Task, textKnown = false): boolean {
	if (filter.state && !(STATES[filter.state] as readonly TaskState[]).includes(task.state)) return false;
	if (filter.device && task.device_id !== filter.device) return false;
	if (!filter.text || textKnown) return true;
	const whole = 'shell' in task.command ? task.command.shell : commandLine(task.command);
	return whole.toLowerCase().includes(filter.text.toLowerCase());
}
