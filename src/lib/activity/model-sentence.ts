/** Sentences about the vault, providers, models, their keys and what they cost. */
import type { EventRecord, EventType } from '$lib/api/types';
import { dollars } from '$lib/format';
import { m } from '$lib/i18n';
import { kindName, stateWord } from '$lib/providers/words';

const STARTS = ['vault.', 'provider.', 'model.', 'routing.', 'model_key.', 'spend_cap.', 'chat.'] as const;

type ModelEvent = Extract<EventType, `${(typeof STARTS)[number]}${string}`>;
export type ModelRecord = Extract<EventRecord, { type: ModelEvent }>;

export function isAboutModels(record: EventRecord): record is ModelRecord {
	return STARTS.some((start) => record.type.startsWith(start));
}

export function modelTopic(record: ModelRecord): 'vault' | 'warning' | 'token' | 'model' | 'chat' {
	if (record.type === 'vault.unlock_failed' || record.type === 'spend_cap.reached') return 'warning';
	if (record.type === 'provider.state_changed' && record.data.state !== 'up') return 'warning';
	if (record.type.startsWith('vault.')) return 'vault';
	if (record.type.startsWith('chat.')) return 'chat';
	return record.type.startsWith('model_key.') ? 'token' : 'model';
}

/** Where it can be seen now; nothing for what is gone. */
export function modelLink(record: ModelRecord): string | undefined {
	if (record.type.startsWith('vault.')) return '/settings/vault';
	if (record.type.startsWith('routing.')) return '/models/routing';
	if (record.type.startsWith('model_key.')) return '/models/keys';
	if (record.type.startsWith('spend_cap.')) return '/models/usage';
	if (record.type === 'provider.removed' || record.type.startsWith('chat.')) return undefined;
	if (record.type.startsWith('model.')) return '/models/catalogue';
	return '/models';
}

export function modelSentence(record: ModelRecord, actor: string): string {
	switch (record.type) {
		case 'vault.initialised':
			return m.activity_vault_made({ actor });
		case 'vault.unlocked':
			if (record.data.by === 'key_file') return m.activity_vault_unlocked_file();
			if (record.data.by === 'keychain') return m.activity_vault_unlocked_keychain();
			return m.activity_vault_unlocked({ actor });
		case 'vault.unlock_failed':
			return m.activity_vault_wrong({ actor, tries: record.data.tries });
		case 'vault.locked':
			return record.data.because === 'idle' ? m.activity_vault_idle() : m.activity_vault_locked({ actor });
		case 'vault.key_added':
			return m.activity_vault_key_added({
				actor,
				name: record.data.name,
				provider: kindName(record.data.provider)
			});
		case 'vault.key_removed':
			return m.activity_vault_key_removed({
				actor,
				name: record.data.name,
				provider: kindName(record.data.provider)
			});
		case 'vault.password_rotated':
			return m.activity_vault_rotated({ actor });
		case 'vault.exported':
			return m.activity_vault_exported({ actor, count: record.data.keys.length });
		case 'vault.imported':
			return m.activity_vault_imported({ actor, count: record.data.keys.length });
		case 'provider.added':
			return record.data.provider.found
				? m.activity_provider_found({ name: record.data.provider.name })
				: m.activity_provider_added({
						actor,
						name: record.data.provider.name,
						kind: kindName(record.data.provider.kind)
					});
		case 'provider.updated':
			return m.activity_provider_updated({ actor, name: record.data.provider.name });
		case 'provider.removed':
			return m.activity_provider_removed({ actor, name: record.data.name });
		case 'provider.state_changed':
			return record.data.fault === 'key_refused'
				? m.activity_provider_key_refused({ name: record.data.name })
				: m.activity_provider_state({ name: record.data.name, state: stateWord(record.data.state) });
		case 'model.updated':
			return m.activity_model_updated({ actor, model: record.data.model });
		case 'model.pulled':
			return m.activity_model_pulled({ actor, model: record.data.model });
		case 'model.deleted':
			return m.activity_model_deleted({ actor, model: record.data.model });
		case 'routing.changed':
			return m.activity_routing_changed({ actor });
		case 'model_key.created':
			return m.activity_model_key_created({ actor, name: record.data.key.name });
		case 'model_key.updated':
			return m.activity_model_key_updated({ name: record.data.key.name });
		case 'model_key.revoked':
			return m.activity_model_key_revoked({ actor, name: record.data.name });
		case 'spend_cap.reached': {
			const { name, cap_micros, spent_micros } = record.data;
			const sums = { cap: dollars(cap_micros), spent: dollars(spent_micros) };
			return name ? m.activity_cap_key({ name, ...sums }) : m.activity_cap({ ...sums });
		}
		case 'chat.changed':
			return m.activity_chat_changed({ actor });
		case 'chat.deleted':
			return m.activity_chat_deleted({ actor });
		default:
			return m.activity_unknown({ actor, type: (record as EventRecord).type });
	}
}
