/** A task's state as a word, a shape and a short ending. */
import { isFinal, type Task, type TaskState } from '$lib/api/types';
import { m } from '$lib/i18n';
import type { Status } from '$lib/ui';

const SHAPES: Record<TaskState, Status> = {
	queued: 'waiting',
	running: 'running',
	succeeded: 'ok',
	failed: 'failed',
	stopped: 'offline',
	lost: 'attention',
	refused: 'attention'
};

export function statusOf(task: Task): Status {
	return isStopping(task) ? 'waiting' : SHAPES[task.state];
}

/** Somebody asked it to stop and it has not ended yet. */
export function isStopping(task: Task): boolean {
	return task.stop_requested_at != null && !isFinal(task.state);
}

export function stateWord(task: Task): string {
	if (isStopping(task)) return m.task_state_stopping();
	return {
		queued: m.task_state_queued,
		running: m.task_state_running,
		succeeded: m.task_state_succeeded,
		failed: m.task_state_failed,
		stopped: m.task_state_stopped,
		lost: m.task_state_lost,
		refused: m.task_state_refused
	}[task.state]();
}

const SIGNALS: Record<number, string> = {
	1: 'SIGHUP',
	2: 'SIGINT',
	3: 'SIGQUIT',
	4: 'SIGILL',
	6: 'SIGABRT',
	7: 'SIGBUS',
	8: 'SIGFPE',
	9: 'SIGKILL',
	11: 'SIGSEGV',
	13: 'SIGPIPE',
	14: 'SIGALRM',
	15: 'SIGTERM'
};

/** `9 (SIGKILL)`. */
export function signalWord(signal: number): string {
	const name = SIGNALS[signal];
	return name ? `${signal} (${name})` : String(signal);
}

/** How long it runs or ran, from when to when; nothing before it started. */
export function spanOf(task: Task): { from: number; to?: number } | undefined {
	if (task.started_at == null) return undefined;
	if (isFinal(task.state) && task.ended_at == null) return undefined;
	return { from: task.started_at, to: task.ended_at ?? undefined };
}
