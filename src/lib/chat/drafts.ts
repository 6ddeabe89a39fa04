// What somebody typed and did not send, for each conversation. It survives a reload.

import { forget, keep, kept } from '$lib/host';

const key = (chat: string) => `chat-draft-${chat}`;
/** A draft of a conversation that does not exist yet. */
export const NEW_CHAT = 'new';

export function draftOf(chat: string): string {
	return kept(key(chat)) ?? '';
}

export function keepDraft(chat: string, text: string): void {
	if (text.trim() === '') forget(key(chat));
	else keep(key(chat), text);
}
