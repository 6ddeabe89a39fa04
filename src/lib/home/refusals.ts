// Those who were turned away in the last hour, by a device or by the server: one alert for each place.

import type { EventRecord } from '$lib/api/types';
import { ALERT_MS } from './recent.svelte';

export interface Refusal {
	cursor: number;
	at: number;
	device: { id: string; name: string };
	from: string;
	count: number;
}

export function refusalOf(record: EventRecord): Refusal | undefined {
	if (record.type !== 'device.link.refused') return undefined;
	const { device, from, count } = record.data;
	return { cursor: record.cursor, at: record.at, device: { id: device.id, name: device.name }, from, count };
}

export interface FailedSignIn {
	cursor: number;
	at: number;
	from: string;
	count: number;
	/** ms since epoch, until which nothing from there is looked at. */
	waitsUntil?: number;
}

/** A program that a person turned away has no means and is no alert: it was answered. */
export function failedSignInOf(record: EventRecord): FailedSignIn | undefined {
	if (record.type !== 'sign_in.failed' || !record.data.means) return undefined;
	const { cursor, at, source } = record;
	const wait = record.data.wait_s;
	return {
		cursor,
		at,
		from: source ?? '',
		count: 1,
		waitsUntil: wait == null ? undefined : at + wait * 1_000
	};
}

/** One for each device: the latest, with how many there were. */
export function byDevice(all: readonly Refusal[], now: number): Refusal[] {
	return latest(all, now, ({ device }) => device.id);
}

/** One for each address: the latest, with how many there were. */
export function byAddress(all: readonly FailedSignIn[], now: number): FailedSignIn[] {
	return latest(all, now, ({ from }) => from);
}

function latest<T extends { cursor: number; at: number; count: number }>(
	all: readonly T[],
	now: number,
	of: (one: T) => string
): T[] {
	const found = new Map<string, T>();
	const recent = all.filter(({ at }) => now - at < ALERT_MS).sort((a, b) => b.cursor - a.cursor);
	for (const one of recent) {
		const known = found.get(of(one));
		found.set(of(one), known ? { ...known, count: known.count + one.count } : one);
	}
	return [...found.values()];
}
