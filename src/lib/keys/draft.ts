/** A key on its way to the server, and what is wrong with it before it goes. */
import type { AddModelKey, CapPeriod, ModelKey } from '$lib/api/types';
import { microsFrom } from '$lib/models/draft';

const DAY_S = 86_400;

export interface KeyDraft {
	name: string;
	/** `provider/model`, `provider/*`, profile names; empty: everything. */
	models: string[];
	/** Dollars; empty: no cap. */
	cap: string;
	period: CapPeriod;
	project: string;
	/** Days; empty: until revoked. */
	days: string;
}

export type KeyFault = 'name' | 'cap' | 'project';

export function keyFaults(draft: KeyDraft): KeyFault[] {
	const faults: KeyFault[] = [];
	const length = (text: string) => [...text.trim()].length;
	if (length(draft.name) === 0 || length(draft.name) > 64) faults.push('name');
	if (draft.cap.trim() !== '' && microsFrom(draft.cap) === undefined) faults.push('cap');
	if (length(draft.project) > 64) faults.push('project');
	return faults;
}

export function bodyOf(draft: KeyDraft): AddModelKey {
	const cap = draft.cap.trim() === '' ? undefined : microsFrom(draft.cap);
	return {
		name: draft.name.trim(),
		models: draft.models,
		cap_micros: cap,
		cap_period: cap === undefined ? undefined : draft.period,
		project: draft.project.trim() || undefined,
		expires_in_s: draft.days === '' ? undefined : Number(draft.days) * DAY_S
	};
}

/** What can be asked for, written as the server reads it. */
export function isModelName(name: string): boolean {
	return /^auto(:[a-z0-9-]{1,32})?$/.test(name) || /^[a-z0-9-]+\/\S+$/.test(name);
}

export type KeyState = 'ok' | 'spent' | 'expired' | 'revoked';

export function stateOf(key: ModelKey, now: number): KeyState {
	if (key.revoked_at != null) return 'revoked';
	if (key.expires_at != null && key.expires_at <= now) return 'expired';
	if (key.cap_micros != null && key.spent_micros >= key.cap_micros) return 'spent';
	return 'ok';
}

/** Those that work first, the newest first. */
export function inOrder(keys: readonly ModelKey[], now: number): ModelKey[] {
	const over = (key: ModelKey) => Number(['expired', 'revoked'].includes(stateOf(key, now)));
	return [...keys].sort((a, b) => over(a) - over(b) || b.created_at - a.created_at);
}
