// Saves a conversation as a file on this device.

import { download } from '$lib/saves';
import type { Chat } from './types';

export function saveChat(chat: Chat, format: 'markdown' | 'json'): void {
	const title = chat.title.replace(/[\\/:*?"<>|]+/g, '-').slice(0, 100) || 'chat';
	download(
		`/api/v1/chats/${chat.id}/export?format=${format}`,
		`${title}.${format === 'json' ? 'json' : 'md'}`
	);
}
