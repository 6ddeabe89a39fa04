/** What can be done to tasks: each call answers with the task as it is now, or throws a ProblemError. */
import type { Task, TaskSpec } from '$lib/api/types';
import { answer, request } from '$lib/host';

export function fetchTask(id: string): Promise<Task> {
	return answer(request.GET('/api/v1/tasks/{id}', { params: { path: { id } } }));
}

export function startTask(device: string, spec: TaskSpec): Promise<Task> {
	return answer(request.POST('/api/v1/devices/{id}/tasks', { params: { path: { id: device } }, body: spec }));
}

export function stopTask(id: string): Promise<Task> {
	return answer(request.POST('/api/v1/tasks/{id}/stop', { params: { path: { id } } }));
}

/** The same again on the same device. Only for tasks without an environment: its values are not kept. */
export function repeatTask(task: Task): Promise<Task> {
	const { command, cwd, timeout_s } = task;
	return startTask(task.device_id, { ...command, cwd: cwd ?? undefined, timeout_s: timeout_s ?? undefined });
}
