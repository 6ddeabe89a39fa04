// The audit log as the page shows it: pages from the server, live events on top, one filter over both.

import type { EventRecord, Page } from '$lib/api/types';
import { answer, problemOf, request, type ProblemError } from '$lib/host';
import { fits, merged, queryOf, type AuditFilter } from './filter';

const PAGE = 60;

export class AuditLog {
	items = $state.raw<readonly EventRecord[]>([]);
	loading = $state(true);
	loadingMore = $state(false);
	problem = $state.raw<ProblemError>();
	hasMore = $state(false);

	#filter: AuditFilter = {};
	#asked = 0;

	/** Shows another selection. */
	async show(filter: AuditFilter): Promise<void> {
		this.#filter = filter;
		this.items = [];
		this.hasMore = false;
		this.loading = true;
		await this.#fetch(undefined);
	}

	async more(): Promise<void> {
		const last = this.items.at(-1);
		if (this.loadingMore || !last || !this.hasMore) return;
		this.loadingMore = true;
		await this.#fetch(last.cursor);
	}

	async retry(): Promise<void> {
		this.loading = this.items.length === 0;
		await this.#fetch(this.items.at(-1)?.cursor);
	}

	/** A live event. */
	take(record: EventRecord): void {
		if (!this.loading && fits(this.#filter, record)) this.items = merged(this.items, [record]);
	}

	/** After the stream was away for longer than the server replays: the newest page, joined or from anew. */
	async refresh(): Promise<void> {
		if (!this.loading) await this.#fetch(undefined);
	}

	async #fetch(before: number | undefined): Promise<void> {
		const asked = ++this.#asked;
		this.problem = undefined;
		try {
			const query = { ...queryOf(this.#filter), limit: PAGE, before };
			// The address answers with JSON lines too, which is all that its description says of its type.
			const answered: unknown = await answer(request.GET('/api/v1/audit', { params: { query } }));
			const page = answered as Page<EventRecord>;
			if (asked !== this.#asked) return;
			const oldest = page.items.at(-1)?.cursor ?? 0;
			const newest = this.items[0]?.cursor ?? 0;
			const joins = before !== undefined || oldest <= newest || page.next == null;
			this.items = joins ? merged(this.items, page.items) : page.items;
			if (before !== undefined || !joins || this.loading) this.hasMore = page.next != null;
		} catch (thrown) {
			if (asked === this.#asked) this.problem = problemOf(thrown);
		} finally {
			if (asked === this.#asked) this.loading = this.loadingMore = false;
		}
	}
}
