// Questions that wait to be sent: kept on this device, so that neither a tunnel nor a reload loses one. They go in
// order, one conversation's after its answer before has ended, and each once: their ids are made here.

import { typed } from '$lib/host';
import type { ChatAttachment } from './types';

/** A question that was not taken by the server yet. */
export interface Waiting {
	id: string;
	chat: string;
	text: string;
	attachments: ChatAttachment[];
	model?: string;
	/** Set for an edited question: where its branch begins; otherwise it follows what is last. `null`: the first. */
	parent?: string | null;
	at: number;
}

const KEY = 'chat-outbox';
/** More are not kept: somebody would have noticed. */
const MOST = 50;

export function waitingSends(): Waiting[] {
	try {
		const all: unknown = JSON.parse(typed.kept(KEY) ?? '[]');
		return Array.isArray(all) ? all.filter(isWaiting) : [];
	} catch {
		return [];
	}
}

function isWaiting(one: unknown): one is Waiting {
	return (
		typeof one === 'object' &&
		one !== null &&
		['id', 'chat', 'text'].every((key) => typeof (one as Record<string, unknown>)[key] === 'string') &&
		Array.isArray((one as Waiting).attachments)
	);
}

function put(all: readonly Waiting[]): void {
	if (all.length === 0) typed.forget(KEY);
	else typed.keep(KEY, JSON.stringify(all));
}

/** False when too many wait. The same id waits once. */
export function queue(one: Waiting): boolean {
	const all = waitingSends();
	if (all.some(({ id }) => id === one.id)) return true;
	if (all.length >= MOST) return false;
	put([...all, one]);
	return true;
}

export function unqueue(id: string): void {
	put(waitingSends().filter((one) => one.id !== id));
}

export function waitingIn(chat: string): Waiting[] {
	return waitingSends().filter((one) => one.chat === chat);
}

/** Without the conversations that are gone. */
export function unqueueChat(chat: string): void {
	put(waitingSends().filter((one) => one.chat !== chat));
}
