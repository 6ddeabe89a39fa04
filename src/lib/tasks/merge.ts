/** One list of tasks out of two sources: pages fetched from the server, and what the live store knows. */
import { isFinal, type Task } from '$lib/api/types';
import { fits, type TaskFilter } from './filter';

/**
 * Every task once, in its newest version, as long as it fits; newest first. `more` says that the server has older ones:
 * then what is older than the last page waits for its page, so that nothing seems to be missing in between.
 */
export function merged(
	fetched: readonly Task[],
	live: Iterable<Task>,
	filter: TaskFilter,
	more: boolean
): Task[] {
	const fromServer = new Set(fetched.map((task) => task.id));
	const known = new Map(fetched.map((task) => [task.id, task]));
	for (const task of live) {
		const other = known.get(task.id);
		if (!other || other.version < task.version) known.set(task.id, task);
	}
	const oldest = more ? Math.min(...fetched.map((task) => task.created_at)) : -Infinity;
	return [...known.values()]
		.filter((task) => fits(filter, task, fromServer.has(task.id)))
		.filter((task) => !isFinal(task.state) || task.created_at >= oldest)
		.sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));
}
