// Which bad endings somebody has looked at, kept in this browser.

import { keep, kept } from '$lib/host';
import type { Seen } from './attention';

const KEY = 'foreman.seen';
/** On a first visit only the last day is news. */
const FIRST_VISIT_MS = 24 * 3600_000;
const MOST_TASKS = 200;

class SeenState {
	#seen = $state.raw<Seen>(read());

	get current(): Seen {
		return this.#seen;
	}

	task(id: string): void {
		this.#set({ ...this.#seen, tasks: [...this.#seen.tasks, id].slice(-MOST_TASKS) });
	}

	/** Everything up to now; returns the way back. */
	all(now: number): () => void {
		const before = this.#seen;
		this.#set({ until: now, tasks: [] });
		return () => this.#set(before);
	}

	#set(seen: Seen): void {
		this.#seen = seen;
		keep(KEY, JSON.stringify(seen));
	}
}

function read(): Seen {
	try {
		const value: unknown = JSON.parse(kept(KEY) ?? '');
		if (typeof value === 'object' && value !== null && 'until' in value && typeof value.until === 'number') {
			const tasks = 'tasks' in value && Array.isArray(value.tasks) ? value.tasks : [];
			return { until: value.until, tasks: tasks.filter((id) => typeof id === 'string') };
		}
	} catch {
		// Nothing kept, or not by us.
	}
	return { until: Date.now() - FIRST_VISIT_MS, tasks: [] };
}

export const seen = new SeenState();
