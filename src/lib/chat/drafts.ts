// What somebody typed and did not send, for each conversation. It survives a reload.

import { typed } from '$lib/host';

const key = (chat: string) => `chat-draft-${chat}`;
/** A draft of a conversation that does not exist yet. */
export const NEW_CHAT = 'new';

export function draftOf(chat: string): string {
	return typed.kept(key(chat)) ?? '';
}

export function keepDraft(chat: string, text: string): void {
	if (text.trim() === '') typed.forget(key(chat));
	else typed.keep(key(chat), text);
}
