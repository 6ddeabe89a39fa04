// What conversations ask of the server.

import type { RoutingNow } from '$lib/api/types';
import { answer, request } from '$lib/host';
import type { Asks } from './now';
import type { Chat, ChatAttachment, Message, Model, Routing } from './types';

export interface MessagePage {
	items: Message[];
	next?: string | null;
}

export function fetchChat(id: string): Promise<Chat> {
	return answer(request.GET('/api/v1/chats/{id}', { params: { path: { id } } }));
}

export function fetchChats(q: string, cursor?: string): Promise<{ items: Chat[]; next?: string | null }> {
	return answer(
		request.GET('/api/v1/chats', { params: { query: { q: q === '' ? undefined : q, cursor, limit: 50 } } })
	);
}

export function createChat(model?: string): Promise<Chat> {
	return answer(request.POST('/api/v1/chats', { body: { model } }));
}

export function updateChat(
	id: string,
	change: { title?: string; model?: string; leaf?: string },
	headers: Record<string, string> = {}
): Promise<Chat> {
	return answer(request.PATCH('/api/v1/chats/{id}', { params: { path: { id } }, body: change, headers }));
}

export async function deleteChat(id: string): Promise<void> {
	await answer(request.DELETE('/api/v1/chats/{id}', { params: { path: { id } } }));
}

/** The branch that ends in `leaf`, from its end upwards. */
export function fetchBranch(id: string, leaf: string, cursor?: string, limit = 30): Promise<MessagePage> {
	return answer(
		request.GET('/api/v1/chats/{id}/messages', { params: { path: { id }, query: { leaf, cursor, limit } } })
	);
}

export interface Question {
	/** Made here: sent twice, it is asked once. */
	id: string;
	parent?: string;
	text: string;
	attachments: string[];
	model?: string;
}

export function ask(chat: string, question: Question): Promise<{ question: Message; answer: Message }> {
	return answer(request.POST('/api/v1/chats/{id}/ask', { params: { path: { id: chat } }, body: question }));
}

export function askAgain(
	chat: string,
	again: { id: string; question: string; model?: string }
): Promise<{ question: Message; answer: Message }> {
	return answer(
		request.POST('/api/v1/chats/{id}/ask-again', { params: { path: { id: chat } }, body: again })
	);
}

export function stopAnswer(chat: string, message: string): Promise<Message> {
	return answer(
		request.POST('/api/v1/chats/{id}/messages/{mid}/stop', {
			params: { path: { id: chat, mid: message } }
		})
	);
}

export function addAttachment(file: Blob, name: string): Promise<ChatAttachment> {
	return answer(
		request.POST('/api/v1/attachments', {
			params: { query: { name } },
			body: file as unknown as number[],
			bodySerializer: (body: unknown) => body as BodyInit,
			headers: { 'Content-Type': 'application/octet-stream' }
		})
	);
}

export async function attachmentContent(id: string): Promise<Blob> {
	const data: unknown = await answer(
		request.GET('/api/v1/attachments/{id}', { params: { path: { id } }, parseAs: 'blob' })
	);
	return data as Blob;
}

export async function fetchModels(): Promise<Model[]> {
	const models: Model[] = [];
	let cursor: string | undefined;
	do {
		const page = await answer(request.GET('/api/v1/models', { params: { query: { limit: 200, cursor } } }));
		models.push(...page.items);
		cursor = page.next ?? undefined;
	} while (cursor !== undefined && models.length < 5_000);
	return models.filter((model) => model.enabled && !model.embeddings);
}

export function fetchRouting(): Promise<Routing> {
	return answer(request.GET('/api/v1/routing'));
}

/** What each profile would take for such a question now, and who would not answer. Nothing is sent to any. */
export function fetchNow(asks: Asks): Promise<RoutingNow> {
	return answer(request.GET('/api/v1/routing/now', { params: { query: { ...asks } } }));
}
