// Providers as people know them: names, states, what they are used for.

import type { Provider, ProviderFault, ProviderKind, ProviderState, UseFor, VaultKey } from '$lib/api/types';
import { m } from '$lib/i18n';
import type { Status } from '$lib/ui';

/** Those whose keys go into the vault. */
export type KeyedKind = VaultKey['provider'];

export const KEYED_KINDS: readonly KeyedKind[] = [
	'anthropic',
	'openai',
	'google',
	'mistral',
	'groq',
	'cerebras',
	'openrouter',
	'openai_compatible'
];

/** Proper names are the same in every language. */
const NAMES: Record<Exclude<ProviderKind, 'openai_compatible'>, string> = {
	anthropic: 'Anthropic',
	openai: 'OpenAI',
	google: 'Google',
	mistral: 'Mistral',
	groq: 'Groq',
	cerebras: 'Cerebras',
	openrouter: 'OpenRouter',
	ollama: 'Ollama'
};

export function kindName(kind: ProviderKind): string {
	return kind === 'openai_compatible' ? m.provider_kind_compatible() : NAMES[kind];
}

export function stateWord(state: ProviderState): string {
	return {
		unknown: m.provider_state_unknown,
		up: m.provider_state_up,
		failing: m.provider_state_failing,
		paused: m.provider_state_paused,
		offline: m.provider_state_offline,
		locked: m.provider_state_locked,
		disabled: m.provider_state_disabled
	}[state]();
}

/** It asked for patience, and until when. */
export const isLimited = ({ state, fault, retry_at }: Provider['health']): boolean =>
	state === 'failing' && (fault === 'rate_limited' || retry_at != null);

/** A refused key, or a provider that asks for patience, says more than that requests fail. */
export function healthWord(health: Provider['health']): string {
	if (isLimited(health)) return m.provider_state_limited();
	const refused = health.state === 'failing' && health.fault === 'key_refused';
	return refused ? m.provider_state_key_refused() : stateWord(health.state);
}

export function faultWord(fault: ProviderFault): string {
	return {
		key_refused: m.provider_fault_key_refused,
		unreachable: m.provider_fault_unreachable,
		not_an_api: m.provider_fault_not_an_api,
		rate_limited: m.provider_fault_rate_limited,
		timeout: m.provider_fault_timeout,
		failed: m.provider_fault_failed,
		vault_locked: m.provider_fault_vault_locked,
		vault_missing: m.provider_fault_vault_missing,
		key_missing: m.provider_fault_key_missing,
		device_offline: m.provider_fault_device_offline,
		not_trusted: m.provider_fault_not_trusted,
		policy_forbids: m.provider_fault_policy,
		agent_too_old: m.provider_fault_agent
	}[fault]();
}

export function statusOfProvider(health: Provider['health']): Status {
	if (isLimited(health)) return 'attention';
	const statuses = {
		unknown: 'waiting',
		up: 'ok',
		failing: 'failed',
		paused: 'attention',
		offline: 'offline',
		locked: 'attention',
		disabled: 'offline'
	} as const;
	return statuses[health.state] ?? 'waiting';
}

export function useWord(use: UseFor): string {
	return { code: m.provider_use_code, research: m.provider_use_research, all: m.provider_use_all }[use]();
}

/** `code, research`, or that it is asked only by name. */
export function usesWord(uses: readonly UseFor[]): string {
	if (uses.length === 0) return m.provider_use_none();
	return uses.includes('all') ? useWord('all') : uses.map(useWord).join(', ');
}

/** Names are part of `provider/model`. */
export function isProviderName(name: string): boolean {
	return /^[a-z0-9-]{1,40}$/.test(name);
}

/** Those that need a look, before those that do not; the default one first among equals. */
export function inOrder(providers: readonly Provider[]): Provider[] {
	return [...providers].sort(
		(a, b) => Number(b.is_default) - Number(a.is_default) || a.name.localeCompare(b.name)
	);
}
