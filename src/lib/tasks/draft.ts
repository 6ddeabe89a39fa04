/**
 * What somebody is about to run: kept on this device until it runs, checked before it is sent, turned into what the API
 * takes. Values of the environment are never kept, because they may be secrets.
 */
import type { Device, Task, TaskModels, TaskSpec } from '$lib/api/types';
import { enteredFrom, microsFrom } from '$lib/models/draft';

/** What is asked for: what runs, and the key that it gets. */
export type TaskWish = TaskSpec & { models?: TaskModels };

export interface Variable {
	/** Tells rows apart while they are edited. */
	key: number;
	name: string;
	value: string;
}

export interface Draft {
	device: string;
	kind: 'shell' | 'program';
	shell: string;
	program: string;
	/** One a line. */
	args: string;
	cwd: string;
	env: Variable[];
	/** Whole minutes as typed; empty for no limit. */
	minutes: string;
	/** What a key of its own is for; empty for none. */
	models: string;
	/** What that key may spend, in dollars as typed; empty for no limit. */
	cap: string;
}

export type DraftField = 'device' | 'shell' | 'program' | 'cwd' | 'env' | 'minutes' | 'cap';

export const EMPTY: Draft = {
	device: '',
	kind: 'shell',
	shell: '',
	program: '',
	args: '',
	cwd: '',
	env: [],
	minutes: '',
	models: '',
	cap: ''
};

/** For keeping: without the values. */
export function textOf(draft: Draft): string {
	return JSON.stringify({ ...draft, env: draft.env.map((variable) => ({ ...variable, value: '' })) });
}

/** A kept draft; whatever does not fit is left out. */
export function draftFrom(text: string | undefined): Draft {
	if (text === undefined) return { ...EMPTY };
	let read: unknown;
	try {
		read = JSON.parse(text);
	} catch {
		return { ...EMPTY };
	}
	if (typeof read !== 'object' || read === null) return { ...EMPTY };
	const fields = read as Record<string, unknown>;
	const word = (name: string) => (typeof fields[name] === 'string' ? fields[name] : '');
	const rows: unknown[] = Array.isArray(fields.env) ? fields.env : [];
	return {
		device: word('device'),
		kind: fields.kind === 'program' ? 'program' : 'shell',
		shell: word('shell'),
		program: word('program'),
		args: word('args'),
		cwd: word('cwd'),
		minutes: word('minutes'),
		models: word('models'),
		cap: word('cap'),
		env: rows.flatMap((row, key) => {
			const name = typeof row === 'object' && row !== null && 'name' in row ? row.name : undefined;
			return typeof name === 'string' ? [{ key, name, value: '' }] : [];
		})
	};
}

/** The same again; the values of its environment are not known any more. */
export function draftOf(task: Task): Draft {
	const command = task.command;
	return {
		device: task.device_id,
		kind: 'shell' in command ? 'shell' : 'program',
		shell: 'shell' in command ? command.shell : '',
		program: 'shell' in command ? '' : command.program,
		args: 'shell' in command ? '' : (command.args ?? []).join('\n'),
		cwd: task.cwd ?? '',
		env: (task.env_names ?? []).map((name, key) => ({ key, name, value: '' })),
		minutes: task.timeout_s == null ? '' : String(Math.max(1, Math.round(task.timeout_s / 60))),
		models: task.models?.models[0] ?? '',
		cap: enteredFrom(task.models?.cap_micros)
	};
}

/** What is missing or wrong, in the order of the form; empty when it can be sent. */
export function faultsOf(draft: Draft): DraftField[] {
	const faults: DraftField[] = [];
	if (draft.device === '') faults.push('device');
	if (draft.kind === 'shell' && draft.shell.trim() === '') faults.push('shell');
	if (draft.kind === 'program' && draft.program.trim() === '') faults.push('program');
	// Absolute on Unix or on Windows.
	if (draft.cwd !== '' && !/^(\/|[A-Za-z]:[\\/]|\\\\)/.test(draft.cwd)) faults.push('cwd');
	const named = draft.env.filter((variable) => variable.name !== '' || variable.value !== '');
	if (named.some((variable) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable.name))) faults.push('env');
	if (draft.minutes.trim() !== '' && !/^[1-9]\d{0,6}$/.test(draft.minutes.trim())) faults.push('minutes');
	if (draft.models !== '' && draft.cap.trim() !== '' && microsFrom(draft.cap) === undefined)
		faults.push('cap');
	return faults;
}

export function specOf(draft: Draft): TaskWish {
	const env = draft.env.filter((variable) => variable.name !== '');
	const minutes = draft.minutes.trim();
	const cap = draft.cap.trim() === '' ? undefined : microsFrom(draft.cap);
	return {
		...(draft.kind === 'shell'
			? { shell: draft.shell }
			: { program: draft.program.trim(), args: argumentsOf(draft.args) }),
		...(draft.cwd === '' ? {} : { cwd: draft.cwd }),
		...(env.length === 0 ? {} : { env: Object.fromEntries(env.map(({ name, value }) => [name, value])) }),
		...(minutes === '' ? {} : { timeout_s: Number(minutes) * 60 }),
		...(draft.models === '' ? {} : { models: { models: [draft.models], cap_micros: cap } })
	};
}

/** Exactly the lines; one empty line at the end is only where the typing stopped. */
function argumentsOf(text: string): string[] {
	if (text === '') return [];
	return text.replace(/\n$/, '').split('\n');
}

/** May programs run there, as far as the device has said? */
export function mayRun(device: Device): boolean {
	return device.policy?.allow_bash === true;
}

/** Online and willing first, then those that are away, then those that cannot. */
export function byReadiness(devices: readonly Device[]): Device[] {
	const rank = (device: Device) =>
		device.status === 'pending' ? 3 : !mayRun(device) ? 2 : device.status === 'online' ? 0 : 1;
	return [...devices].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}
