// What the pages of providers and models ask of the server.

import type {
	AddProvider,
	Model,
	Page,
	Provider,
	ProviderHealth,
	RunningPull,
	UpdateModel,
	UpdateProvider
} from '$lib/api/types';
import { answer, attend, request } from '$lib/host';
import type { Attend } from './pull.svelte';

const PAGE = 200;

export function listProviders(): Promise<Provider[]> {
	return everyPage((cursor) =>
		answer(request.GET('/api/v1/providers', { params: { query: { limit: PAGE, cursor } } }))
	);
}

/** Asks it for its models at once: what came of it is in the answer's health. */
export function addProvider(body: AddProvider): Promise<Provider> {
	return answer(request.POST('/api/v1/providers', { body }));
}

export function updateProvider(id: string, body: UpdateProvider): Promise<Provider> {
	return answer(request.PATCH('/api/v1/providers/{id}', { params: { path: { id } }, body }));
}

export async function removeProvider(id: string): Promise<void> {
	await answer(request.DELETE('/api/v1/providers/{id}', { params: { path: { id } } }));
}

/** Asks the provider for its models now. */
export function testProvider(id: string): Promise<ProviderHealth> {
	return answer(request.POST('/api/v1/providers/{id}/test', { params: { path: { id } } }));
}

export function allModels(): Promise<Model[]> {
	return modelsOf(undefined);
}

/** `provider`: its name; all without. */
export function modelsOf(provider: string | undefined): Promise<Model[]> {
	return everyPage((cursor) =>
		answer(request.GET('/api/v1/models', { params: { query: { provider, limit: PAGE, cursor } } }))
	);
}

/** `provider`: its name. As a whole: what is absent is again what the provider or the table says. */
export function updateModel(provider: string, model: string, body: UpdateModel): Promise<Model> {
	return answer(
		request.PATCH('/api/v1/models/{provider}/{model}', { params: { path: { provider, model } }, body })
	);
}

/** Watches a model on its way to a device; begins it unless it is on its way already. */
export function attendPull(device: string, model: string): Attend {
	return (signal, message) =>
		attend(`/api/v1/devices/${encodeURIComponent(device)}/models/pull`, { json: { model }, message, signal });
}

/** Models on their way to a device, whoever asked for them. */
export async function runningPulls(id: string): Promise<RunningPull[]> {
	return (await answer(request.GET('/api/v1/devices/{id}/models/pulls', { params: { path: { id } } }))).items;
}

export async function cancelPull(id: string, model: string): Promise<void> {
	await answer(
		request.DELETE('/api/v1/devices/{id}/models/pulls/{model}', { params: { path: { id, model } } })
	);
}

export async function deleteModel(id: string, model: string): Promise<void> {
	await answer(request.DELETE('/api/v1/devices/{id}/models/{model}', { params: { path: { id, model } } }));
}

async function everyPage<T>(page: (cursor: string | undefined) => Promise<Page<T>>): Promise<T[]> {
	const items: T[] = [];
	let cursor: string | undefined;
	do {
		const answered = await page(cursor);
		items.push(...answered.items);
		cursor = answered.next ?? undefined;
	} while (cursor !== undefined);
	return items;
}
