// What the pages of keys ask of the server.

import type { AddModelKey, ModelKey, ModelKeyCreated, Page } from '$lib/api/types';
import { answer, request } from '$lib/host';

export function listKeys(cursor?: string): Promise<Page<ModelKey>> {
	return answer(request.GET('/api/v1/model-keys', { params: { query: { cursor, limit: 100 } } }));
}

export function addKey(body: AddModelKey): Promise<ModelKeyCreated> {
	return answer(request.POST('/api/v1/model-keys', { body }));
}

export async function revokeKey(id: string): Promise<void> {
	await answer(request.DELETE('/api/v1/model-keys/{id}', { params: { path: { id } } }));
}
