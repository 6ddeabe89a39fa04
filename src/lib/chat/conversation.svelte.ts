// One conversation: the branch that is shown, loaded from its end, and its answers as they arrive.

import { problemOf, subscribe, type LinkState, type ProblemError, type Subscription } from '$lib/host';
import { byteLength, withEarlier, withEnd, withMessage, withPiece } from './branch';
import * as calls from './calls';
import { freshId } from './ids';
import { queue, unqueue, waitingIn, type Waiting } from './outbox';
import type { Chat, ChatAttachment, Message, MessagePiece, Route } from './types';

interface Following {
	stream: Subscription;
	/** Bytes of the answer that are here. */
	have: number;
}

export class Conversation {
	chat = $state.raw<Chat>();
	/** The branch, oldest first. */
	messages = $state.raw<readonly Message[]>([]);
	/** Questions that the server has not taken yet. */
	waiting = $state.raw<readonly Waiting[]>([]);
	/** Why the first of them is not sent. */
	sendProblem = $state.raw<ProblemError>();
	sending = $state(false);
	loading = $state(true);
	problem = $state.raw<ProblemError>();
	loadingEarlier = $state(false);
	earlierProblem = $state.raw<ProblemError>();
	/** How the stream of the answer on its way is doing. */
	link = $state.raw<LinkState>();

	readonly answering = $derived(this.messages.some((message) => message.state === 'streaming'));
	readonly last = $derived(this.messages.at(-1));

	#next = $state.raw<string>();
	#following = new Map<string, Following>();
	#closed = false;
	#again: ReturnType<typeof setTimeout> | undefined;

	constructor(readonly id: string) {
		this.waiting = waitingIn(id);
	}

	get hasEarlier(): boolean {
		return this.#next !== undefined;
	}

	async load(): Promise<void> {
		this.problem = undefined;
		try {
			await this.#show(await calls.fetchChat(this.id));
		} catch (thrown) {
			this.problem = problemOf(thrown);
		} finally {
			this.loading = false;
		}
		void this.flush();
	}

	/** Somebody changed it, perhaps we: elsewhere a question was asked or another branch chosen. */
	async refresh(): Promise<void> {
		if (this.loading || this.sending) return;
		try {
			const chat = await calls.fetchChat(this.id);
			if (this.sending || this.#closed) return;
			const elsewhere = chat.leaf !== (this.last?.id ?? null) && chat.leaf != null;
			if (elsewhere) await this.#show(chat);
			else this.chat = chat;
		} catch {
			// What is shown stays; the next event asks again.
		}
	}

	async #show(chat: Chat): Promise<void> {
		const leaf = chat.leaf ?? undefined;
		const page = leaf ? await calls.fetchBranch(this.id, leaf) : { items: [], next: undefined };
		if (this.#closed) return;
		this.chat = chat;
		this.messages = withEnd(this.messages, page.items);
		// More than the page: what is before all of it is known already.
		if (this.messages.length === page.items.length) this.#next = page.next ?? undefined;
		this.#followAll();
	}

	/** Puts the messages before the first in front. */
	async earlier(): Promise<void> {
		const leaf = this.last?.id;
		if (this.loadingEarlier || !this.#next || !leaf) return;
		this.loadingEarlier = true;
		this.earlierProblem = undefined;
		try {
			const page = await calls.fetchBranch(this.id, leaf, this.#next);
			this.messages = withEarlier(this.messages, page.items);
			this.#next = page.next ?? undefined;
		} catch (thrown) {
			this.earlierProblem = problemOf(thrown);
		} finally {
			this.loadingEarlier = false;
		}
	}

	/** Asks as soon as it can be sent; until then it is kept and shown as waiting. `parent` begins another branch. */
	ask(text: string, attachments: ChatAttachment[], model?: string, parent?: string | null): boolean {
		const one: Waiting = { id: freshId(), chat: this.id, text, attachments, model, parent, at: Date.now() };
		if (!queue(one)) return false;
		this.waiting = waitingIn(this.id);
		void this.flush();
		return true;
	}

	/** Takes a question back that was not sent. */
	takeBack(id: string): Waiting | undefined {
		const one = this.waiting.find((waiting) => waiting.id === id);
		unqueue(id);
		this.waiting = waitingIn(this.id);
		this.sendProblem = undefined;
		return one;
	}

	/** Sends what waits, in order; the next goes when the answer before has ended. */
	async flush(): Promise<void> {
		clearTimeout(this.#again);
		const first = this.waiting[0];
		// Without knowing what is last, nobody knows what it follows.
		if (!first || !this.chat || this.sending || this.answering || this.#closed) return;
		this.sending = true;
		try {
			const parent = first.parent === undefined ? this.last?.id : (first.parent ?? undefined);
			const { id, text, model } = first;
			const attachments = first.attachments.map((file) => file.id);
			const asked = await calls.ask(this.id, { id, parent, text, attachments, model });
			unqueue(id);
			this.waiting = waitingIn(this.id);
			this.sendProblem = undefined;
			this.#begun(asked);
		} catch (thrown) {
			this.sendProblem = problemOf(thrown);
			// What may work later is tried again by itself; the rest waits for a person.
			if (this.sendProblem.passing) this.#again = setTimeout(() => void this.flush(), 4_000);
		} finally {
			this.sending = false;
		}
		if (!this.sendProblem) void this.flush();
	}

	/** Another answer to a question. */
	async askAgain(question: string, model?: string): Promise<void> {
		this.#begun(await calls.askAgain(this.id, { id: freshId(), question, model }));
	}

	#begun(asked: { question: Message; answer: Message }): void {
		this.messages = withMessage(withMessage(this.messages, asked.question), asked.answer);
		if (this.chat) this.chat = { ...this.chat, leaf: asked.answer.id, answering: true };
		this.#followAll();
	}

	async stop(): Promise<void> {
		const streaming = this.messages.find((message) => message.state === 'streaming');
		if (streaming) this.#ended(await calls.stopAnswer(this.id, streaming.id));
	}

	/** Shows the branch that another version of a message belongs to. */
	async show(version: string): Promise<void> {
		await this.#show(await calls.updateChat(this.id, { leaf: version }));
	}

	async choose(model: string): Promise<void> {
		const before = this.chat;
		if (before) this.chat = { ...before, model };
		try {
			this.chat = await calls.updateChat(this.id, { model });
		} catch (thrown) {
			this.chat = before;
			throw thrown;
		}
	}

	reconnect(): void {
		if (!this.chat) {
			void this.load();
			return;
		}
		for (const { stream } of this.#following.values()) stream.reconnect();
		void this.flush();
	}

	close(): void {
		this.#closed = true;
		clearTimeout(this.#again);
		for (const { stream } of this.#following.values()) stream.close();
		this.#following.clear();
	}

	/** Follows the answers on their way, and only those. */
	#followAll(): void {
		const wanted = new Set(
			this.messages.filter((message) => message.state === 'streaming').map((message) => message.id)
		);
		for (const [id, { stream }] of this.#following) {
			if (wanted.has(id)) continue;
			stream.close();
			this.#following.delete(id);
		}
		for (const id of wanted) if (!this.#following.has(id)) this.#follow(id);
	}

	#follow(id: string): void {
		const have = byteLength(this.#message(id)?.text ?? '');
		const stream = subscribe(`/api/v1/chats/${this.id}/messages/${id}/stream`, {
			lastEventId: String(have),
			message: ({ event, data }) => this.#take(id, event, data),
			link: (state) => {
				this.link = state;
			}
		});
		this.#following.set(id, { stream, have });
	}

	#message(id: string): Message | undefined {
		return this.messages.find((message) => message.id === id);
	}

	#take(id: string, event: string, data: string): void {
		const message = this.#message(id);
		const following = this.#following.get(id);
		if (!message || !following) return;
		if (event === 'piece') {
			const grown = withPiece(message, following.have, JSON.parse(data) as MessagePiece);
			following.have = grown.have;
			this.messages = withMessage(this.messages, grown.message);
		} else if (event === 'route') {
			this.messages = withMessage(this.messages, { ...message, route: JSON.parse(data) as Route });
		} else if (event === 'thinking') {
			this.messages = withMessage(this.messages, { ...message, thinking: true });
		} else if (event === 'end') {
			this.#ended(JSON.parse(data) as Message);
		}
	}

	#ended(message: Message): void {
		this.messages = withMessage(this.messages, message);
		this.#followAll();
		if (this.chat) this.chat = { ...this.chat, answering: this.answering };
		void this.flush();
	}
}
