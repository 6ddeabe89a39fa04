// The list of tasks: pages fetched from the server and what the live store knows, merged. A task is shown once, in
// its newest version, as long as it fits the filter; between the pages and the live part there is no hole.

import { isFinal, type Task } from '$lib/api/types';
import { answer, problemOf, request, type ProblemError } from '$lib/host';
import type { Live } from '$lib/live';
import { queryOf, type TaskFilter } from './filter';
import { merged } from './merge';

const PAGE = 100;

export class TaskPages {
	loading = $state(true);
	loadingMore = $state(false);
	problem = $state.raw<ProblemError>();

	#filter = $state.raw<TaskFilter>({});
	#fetched = $state.raw<readonly Task[]>([]);
	#next = $state.raw<string | null>();
	readonly #live: Live;
	#asked = 0;

	constructor(live: Live) {
		this.#live = live;
	}

	/** Those that run or wait, newest first. */
	readonly all = $derived.by(() => this.#all());
	readonly active = $derived(this.all.filter((task) => !isFinal(task.state)));
	readonly ended = $derived(this.all.filter((task) => isFinal(task.state)));

	get hasMore(): boolean {
		return this.#next != null;
	}

	/** Shows another selection. What the live store knows of it shows at once. */
	async show(filter: TaskFilter): Promise<void> {
		this.#filter = filter;
		this.#fetched = [];
		this.#next = undefined;
		this.loading = true;
		await this.#fetch(undefined);
	}

	async more(): Promise<void> {
		if (this.loadingMore || this.#next == null) return;
		this.loadingMore = true;
		await this.#fetch(this.#next);
	}

	async retry(): Promise<void> {
		this.loading = this.#fetched.length === 0;
		await this.#fetch(this.#next ?? undefined);
	}

	async #fetch(cursor: string | undefined): Promise<void> {
		const asked = ++this.#asked;
		this.problem = undefined;
		try {
			const query = { ...queryOf(this.#filter), limit: PAGE, cursor };
			const page = await answer(request.GET('/api/v1/tasks', { params: { query } }));
			if (asked !== this.#asked) return;
			this.#fetched = [...this.#fetched, ...page.items];
			this.#next = page.next ?? null;
		} catch (thrown) {
			if (asked === this.#asked) this.problem = problemOf(thrown);
		} finally {
			if (asked === this.#asked) this.loading = this.loadingMore = false;
		}
	}

	#all(): Task[] {
		const live = this.#live;
		return merged(this.#fetched, live.tasks.values(), this.#filter, this.hasMore).filter(
			(task) => !live.ready || live.devices.has(task.device_id)
		);
	}
}
