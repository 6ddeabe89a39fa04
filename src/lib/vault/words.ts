// How the vault stands, in words and as a status.

import type { VaultStatus } from '$lib/api/types';
import { m } from '$lib/i18n';
import type { Status } from '$lib/ui';

export type VaultState = 'missing' | 'open' | 'locked' | 'blocked';

export function stateOf(status: VaultStatus, now: number): VaultState {
	if (!status.initialised) return 'missing';
	if (status.unlocked) return 'open';
	return (status.blocked_until ?? 0) > now ? 'blocked' : 'locked';
}

export function stateWord(state: VaultState): string {
	return {
		missing: m.vault_state_missing,
		open: m.vault_state_open,
		locked: m.vault_state_locked,
		blocked: m.vault_state_blocked
	}[state]();
}

export function statusOfVault(state: VaultState): Status {
	return ({ missing: 'offline', open: 'ok', locked: 'attention', blocked: 'failed' } as const)[state];
}

/** What opens the vault with nobody there, when something does. */
export function unattendedWord(status: VaultStatus): string | undefined {
	if (status.unattended_by === 'keychain') return m.vault_unattended_keychain();
	return status.unattended ? m.vault_unattended() : undefined;
}
