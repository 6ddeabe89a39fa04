// Saves a conversation as a file on this device.

import { exported } from './calls';
import type { Chat } from './types';

export async function saveChat(chat: Chat, format: 'markdown' | 'json'): Promise<void> {
	const content = await exported(chat.id, format);
	const address = URL.createObjectURL(content);
	const link = document.createElement('a');
	link.href = address;
	link.download = `${chat.title.replace(/[\\/:*?"<>|]+/g, '-').slice(0, 100) || 'chat'}.${format === 'json' ? 'json' : 'md'}`;
	link.click();
	// The download has begun by then.
	setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
