// What needs a person, found in what is known. Pure: time and what was seen are passed in.

import type { Device, Provider, Task } from '$lib/api/types';
import type { CapReached, ModelNews } from './model-news.svelte';
import { byAddress, byDevice, type FailedSignIn, type Refusal } from './refusals';

export type Attention =
	| { kind: 'offline'; id: string; at: number; device: Device }
	| { kind: 'gpu-memory'; id: string; at: number; device: Device }
	| { kind: 'pending'; id: string; at: number; device: Device }
	| { kind: 'provider'; id: string; at: number; provider: Provider }
	/** Since when is not known. */
	| { kind: 'vault'; id: string; at: number; names: readonly string[] }
	| { kind: 'cap'; id: string; at: number; cap: CapReached }
	| { kind: 'refused'; id: string; at: number; refusal: Refusal }
	| { kind: 'sign-in'; id: string; at: number; failed: FailedSignIn }
	| { kind: 'task'; id: string; at: number; task: Task };

/** What somebody has looked at: everything up to an instant, and single tasks after it. */
export interface Seen {
	/** ms since epoch. */
	until: number;
	/** Their ids, and those of other alerts. */
	tasks: readonly string[];
}

/** By devices, and by the server. */
export interface TurnedAway {
	refusals: readonly Refusal[];
	signIns: readonly FailedSignIn[];
}

/** A device that was only just made is being connected by the one who made it. */
const PENDING_GRACE_MS = 10 * 60_000;
/** A cap of a day counts anew the next one. */
const CAP_MS = 24 * 3_600_000;

/** Newest first. A state that is still true stays until it is not; a task that ended badly stays until seen. */
export function attention(
	devices: readonly Device[],
	tasks: readonly Task[],
	seen: Seen,
	now: number,
	{ refusals, signIns }: TurnedAway = { refusals: [], signIns: [] },
	models?: ModelNews
): Attention[] {
	const found: Attention[] = [];
	for (const device of devices) {
		const { id, status, status_since: at } = device;
		if (status === 'offline') found.push({ kind: 'offline', id: `offline ${id}`, at, device });
		else if (status === 'online' && device.gpu_memory_high) {
			found.push({ kind: 'gpu-memory', id: `gpu ${id}`, at: device.last_seen_at ?? at, device });
		} else if (status === 'pending' && now - device.created_at > PENDING_GRACE_MS) {
			found.push({ kind: 'pending', id: `pending ${id}`, at: device.created_at, device });
		}
	}
	const isNews = (id: string, at: number) => at > seen.until && !seen.tasks.includes(id);
	for (const refusal of byDevice(refusals, now)) {
		const id = `refused ${refusal.cursor}`;
		if (isNews(id, refusal.at)) found.push({ kind: 'refused', id, at: refusal.at, refusal });
	}
	for (const failed of byAddress(signIns, now)) {
		const id = `sign-in ${failed.cursor}`;
		if (isNews(id, failed.at)) found.push({ kind: 'sign-in', id, at: failed.at, failed });
	}
	if (models) found.push(...modelAttention(models, seen, now));
	for (const task of tasks) {
		if (!endedBadly(task)) continue;
		const at = task.ended_at ?? task.created_at;
		if (isNews(task.id, at)) found.push({ kind: 'task', id: `task ${task.id}`, at, task });
	}
	return found.sort((a, b) => b.at - a.at);
}

/** A paused provider, and a vault that others wait for, stay until they are not; a cap until it was seen. */
function modelAttention({ providers, vaultLocked, caps }: ModelNews, seen: Seen, now: number): Attention[] {
	const found: Attention[] = providers
		.filter(({ health }) => health.state === 'paused')
		.map((provider) => ({
			kind: 'provider',
			id: `provider ${provider.id}`,
			at: provider.health.checked_at ?? provider.created_at,
			provider
		}));
	const names = providers.filter((one) => one.vault_key && one.enabled).map(({ name }) => name);
	if (vaultLocked && names.length > 0) found.push({ kind: 'vault', id: 'vault', at: now, names });
	for (const cap of caps) {
		const id = `cap ${cap.cursor}`;
		const news = cap.at > seen.until && !seen.tasks.includes(id) && now - cap.at < CAP_MS;
		if (news) found.push({ kind: 'cap', id, at: cap.at, cap });
	}
	return found;
}

/** Not by somebody's wish: a stopped task is what was asked for. */
function endedBadly({ state }: Task): boolean {
	return state === 'failed' || state === 'lost' || state === 'refused';
}

/** Tasks that ended since an instant, latest first. */
export function endedSince(tasks: readonly Task[], since: number): Task[] {
	return tasks
		.filter((task) => task.ended_at != null && task.ended_at >= since)
		.sort((a, b) => (b.ended_at ?? 0) - (a.ended_at ?? 0));
}
