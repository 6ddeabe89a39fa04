// A provider on its way to the server: what is missing, and how it is sent. Knows no component.

import type { AddProvider, Provider, ProviderKind, UpdateProvider } from '$lib/api/types';
import { isProviderName } from './words';

/** Instead of the name of a key in the vault. */
export const NEW_KEY = '';

export interface ProviderDraft {
	kind: ProviderKind;
	/** Empty: the server finds one. */
	name: string;
	key: string;
	/** The name of a key in the vault, or `NEW_KEY`. */
	vaultKey: string;
	baseUrl: string;
	deviceId: string;
}

export type DraftFault = 'name' | 'key' | 'address' | 'device';

export function draftFaults(draft: ProviderDraft): DraftFault[] {
	const faults: DraftFault[] = [];
	if (draft.name !== '' && !isProviderName(draft.name)) faults.push('name');
	if (draft.kind === 'ollama') {
		if (draft.deviceId === '') faults.push('device');
		return faults;
	}
	// Other addresses may ask for nothing.
	const needsKey = draft.kind !== 'openai_compatible' && draft.vaultKey === NEW_KEY;
	if (needsKey && draft.key.trim() === '') faults.push('key');
	if (draft.kind === 'openai_compatible' && !isAddress(draft.baseUrl)) faults.push('address');
	return faults;
}

export function isAddress(text: string): boolean {
	try {
		return /^https?:$/.test(new URL(text.trim()).protocol);
	} catch {
		return false;
	}
}

export function bodyOf(draft: ProviderDraft): AddProvider {
	const name = draft.name || undefined;
	if (draft.kind === 'ollama') return { kind: draft.kind, name, device_id: draft.deviceId };
	return {
		kind: draft.kind,
		name,
		base_url: draft.kind === 'openai_compatible' ? draft.baseUrl.trim() : undefined,
		...(draft.vaultKey === NEW_KEY ? { key: draft.key.trim() || undefined } : { vault_key: draft.vaultKey })
	};
}

/** What somebody changed of a provider. */
export interface Edited {
	name: string;
	baseUrl: string;
	/** Empty: the one it has stays. */
	key: string;
}

export type EditFault = 'name' | 'address' | 'key';

/** A key belongs to the address it was given for: another address asks for it again. */
export function editFaults(provider: Provider, edited: Edited): EditFault[] {
	const faults: EditFault[] = [];
	if (!isProviderName(edited.name)) faults.push('name');
	const moved = edited.baseUrl.trim() !== (provider.base_url ?? '');
	if (moved && !isAddress(edited.baseUrl)) faults.push('address');
	if (moved && provider.vault_key && edited.key.trim() === '') faults.push('key');
	return faults;
}

/** Only what is another than before; nothing when nothing is. */
export function changesOf(provider: Provider, edited: Edited): UpdateProvider | undefined {
	const changes: UpdateProvider = {};
	if (edited.name !== provider.name) changes.name = edited.name;
	if (edited.baseUrl.trim() !== (provider.base_url ?? '')) changes.base_url = edited.baseUrl.trim();
	if (edited.key.trim() !== '') changes.key = edited.key.trim();
	return Object.keys(changes).length > 0 ? changes : undefined;
}
