/** What can be done to tasks: each call answers with the task as it is now, or throws a ProblemError. */
import { freshId } from '$lib/chat/ids';
import { commandLine, type Device, type Page, type Task } from '$lib/api/types';
import { answer, device as deviceDoor, inApp, isOld, problemOf, request } from '$lib/host';
import { isAway, waiting } from '$lib/outbox';
import type { TaskWish } from './draft';

/** A task, and where it was found: at its device when the server is away, or does not know of it yet. */
export interface Found {
	task: Task;
	/** The device that was asked. */
	at?: string;
}

/** How long a device may take that is asked beside the server. */
const BESIDE_MS = 8_000;

/**
 * The task as the server knows it; in the app, where the server is away, as a device that can be reached knows it.
 * `devices` are asked in that case, those that may have it; what was last known of it is told `meanwhile`.
 */
export async function findTask(
	id: string,
	devices: readonly Device[],
	meanwhile: (task: Task) => void
): Promise<Found> {
	try {
		const call = request.GET('/api/v1/tasks/{id}', { params: { path: { id } } });
		const task = await answer(call);
		if (!isOld((await call).response)) return { task };
		meanwhile(task);
		return (await atDevices(id, devices, task)) ?? { task };
	} catch (thrown) {
		const problem = problemOf(thrown);
		const elsewhere = inApp && (isAway(problem) || problem.code === 'not_found');
		const found = elsewhere ? await atDevices(id, devices) : undefined;
		if (found) return found;
		throw problem;
	}
}

async function atDevices(id: string, devices: readonly Device[], known?: Task): Promise<Found | undefined> {
	// What was last known of a device may be from before it told how it is reached.
	const may = devices.filter((one) => one.status !== 'pending' && (!known || one.id === known.device_id));
	const asked = may.map(async (one) => {
		const options = { timeout: BESIDE_MS };
		const task = await deviceDoor(one.id).call<Task>('GET', `/tasks/${id}`, options);
		// Who asked the server, the device does not know.
		return { task: { ...task, requested_by: known?.requested_by ?? task.requested_by }, at: one.id };
	});
	return Promise.any(asked).catch(() => undefined);
}

/** The tasks on devices that can be reached while the server is away: what it does not know yet, and how the rest does. */
export async function tasksOnDevices(devices: readonly Device[]): Promise<Task[]> {
	const asked = devices
		.filter((one) => one.link)
		.map(async (one) => {
			const page = await deviceDoor(one.id).call<Page<Task>>('GET', '/tasks', { timeout: BESIDE_MS });
			return page.items;
		});
	const told = await Promise.allSettled(asked);
	return told.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
}

export function fetchTask(id: string): Promise<Task> {
	return answer(request.GET('/api/v1/tasks/{id}', { params: { path: { id } } }));
}

/** The task, and the device where it began without the server; nothing when it waits until the server is back. */
export type Started = Found | undefined;

/**
 * Gives a device something to run. In the app, where the server is away, the device itself is asked; where that cannot
 * be reached either, it waits to be sent. It has one id on all these ways, so it runs once.
 */
export async function startTask(device: Device, spec: TaskWish): Promise<Started> {
	const id = freshId();
	const body = { ...spec, id };
	try {
		const params = { path: { id: device.id } };
		return { task: await answer(request.POST('/api/v1/devices/{id}/tasks', { params, body })) };
	} catch (thrown) {
		const problem = problemOf(thrown);
		if (!inApp || !isAway(problem)) throw problem;
	}
	// A device makes no keys for models.
	if (!spec.models) {
		const taken = await takenByDevice(device, body);
		if (taken) return taken;
	}
	await waiting.add({
		key: id,
		method: 'POST',
		path: `/api/v1/devices/${device.id}/tasks`,
		body,
		about: `task ${id}`,
		label: { kind: 'start-task', device: device.name, command: commandLine(spec) }
	});
	return undefined;
}

/** Nothing where the device cannot be reached either, or may not be asked. */
async function takenByDevice(device: Device, body: TaskWish & { id: string }): Promise<Started> {
	try {
		const options = { json: body, timeout: BESIDE_MS };
		return { task: await deviceDoor(device.id).call<Task>('POST', '/tasks', options), at: device.id };
	} catch (thrown) {
		const problem = problemOf(thrown);
		// What the device itself refuses, it would refuse later, too.
		if (!problem.passing && !['no_link', 'grant_not_enough', 'not_found'].includes(problem.code)) {
			throw problem;
		}
	}
	return undefined;
}

/** Where a task of the list is: its server has not told of it as long as it has no version. */
export function foundAs(task: Task): Found {
	return { task, at: inApp && task.version === 0 ? task.device_id : undefined };
}

/** Asks for a stop, where the task was found. It has its moment: it is asked now or not at all. */
export function stopTask({ task, at }: Found): Promise<Task> {
	if (at) return deviceDoor(at).call<Task>('POST', `/tasks/${task.id}/stop`);
	return answer(request.POST('/api/v1/tasks/{id}/stop', { params: { path: { id: task.id } } }));
}

/** The same again on the same device. Only for tasks without an environment: its values are not kept. */
export function repeatTask(task: Task, device: Device): Promise<Started> {
	const { command, cwd, timeout_s, models } = task;
	const spec = { ...command, cwd: cwd ?? undefined, timeout_s: timeout_s ?? undefined };
	return startTask(device, { ...spec, models: models ?? undefined });
}
