// One's conversations, the last used first, kept current by the event log.

import type { EventRecord } from '$lib/api/types';
import { problemOf, type ProblemError } from '$lib/host';
import * as calls from './calls';
import type { Chat } from './types';

export class Chats {
	list = $state.raw<readonly Chat[]>([]);
	loading = $state(true);
	loadingMore = $state(false);
	problem = $state.raw<ProblemError>();

	#next = $state.raw<string>();
	#q = '';
	#asked = 0;

	get hasMore(): boolean {
		return this.#next !== undefined;
	}

	async search(q: string): Promise<void> {
		this.#q = q;
		await this.#fetch(undefined);
	}

	async more(): Promise<void> {
		if (this.loadingMore || !this.#next) return;
		this.loadingMore = true;
		await this.#fetch(this.#next);
	}

	async retry(): Promise<void> {
		await this.#fetch(this.#next);
	}

	async #fetch(cursor: string | undefined): Promise<void> {
		const asked = ++this.#asked;
		this.problem = undefined;
		try {
			const page = await calls.fetchChats(this.#q, cursor);
			if (asked !== this.#asked) return;
			const before = cursor ? this.list : [];
			const known = new Set(before.map((chat) => chat.id));
			this.list = [...before, ...page.items.filter((chat) => !known.has(chat.id))];
			this.#next = page.next ?? undefined;
		} catch (thrown) {
			if (asked === this.#asked) this.problem = problemOf(thrown);
		} finally {
			if (asked === this.#asked) this.loading = this.loadingMore = false;
		}
	}

	put(chat: Chat): void {
		const others = this.list.filter((one) => one.id !== chat.id);
		const known = others.length < this.list.length;
		// While searching, only what was found is shown.
		if (this.#q !== '' && !known) return;
		this.list = [...others, chat].sort((a, b) => b.updated_at - a.updated_at || (a.id < b.id ? 1 : -1));
	}

	drop(id: string): void {
		this.list = this.list.filter((chat) => chat.id !== id);
	}

	/** What happened to one of `me`'s conversations, here or on another device. A program may not know who it is for. */
	take(record: EventRecord, me: string | undefined): void {
		if (record.type !== 'chat.deleted' && record.type !== 'chat.changed') return;
		if (me !== undefined && record.data.owner !== me) return;
		if (record.type === 'chat.deleted') {
			this.drop(record.data.chat_id);
			return;
		}
		const id = record.data.chat_id;
		calls.fetchChat(id).then(
			(chat) => this.put(chat),
			(thrown: unknown) => {
				if (problemOf(thrown).code === 'not_found') this.drop(id);
			}
		);
	}
}
