// What was in the way, where one code has many causes: the device's or the server's own word for it, as a sentence.

import type { ProblemReason } from '$lib/api/types';
import { m } from '$lib/i18n';

const SENTENCES: Record<ProblemReason, () => string> = {
	not_a_directory: m.reason_not_a_directory,
	is_a_directory: m.reason_is_a_directory,
	name_taken: m.reason_name_taken,
	other_file_system: m.reason_other_file_system,
	into_itself: m.reason_into_itself,
	in_use: m.reason_in_use,
	no_trash: m.reason_no_trash,
	place_taken: m.reason_place_taken,
	not_a_file: m.reason_not_a_file,
	not_replaced: m.reason_not_replaced,
	not_searchable: m.reason_not_searchable,
	held_by_policy: m.reason_held_by_policy,
	link_circle: m.reason_link_circle,
	upload_elsewhere: m.reason_upload_elsewhere,
	upload_lost: m.reason_upload_lost,
	git_slow: m.reason_git_slow,
	no_files_here: m.reason_no_files_here,
	uploads_under_way: m.reason_uploads_under_way,
	searches_busy: m.reason_searches_busy,
	terminals_open: m.reason_terminals_open,
	viewers_many: m.reason_viewers_many,
	terminal_ended: m.reason_terminal_ended,
	task_ended: m.reason_task_ended,
	tasks_waiting: m.reason_tasks_waiting,
	commands_waiting: m.reason_commands_waiting,
	device_not_connected: m.reason_device_not_connected,
	device_connected: m.reason_device_connected,
	pulls_under_way: m.reason_pulls_under_way,
	pull_ended: m.reason_pull_ended,
	no_ollama: m.reason_no_ollama,
	chat_full: m.reason_chat_full,
	chats_full: m.reason_chats_full,
	attachments_full: m.reason_attachments_full,
	answer_under_way: m.reason_answer_under_way,
	model_keys_full: m.reason_model_keys_full,
	connections_open: m.reason_connections_open,
	callers_waiting: m.reason_callers_waiting,
	grants_full: m.reason_grants_full,
	grant_taken_back: m.reason_grant_taken_back,
	receivers_full: m.reason_receivers_full,
	providers_full: m.reason_providers_full,
	provider_taken: m.reason_provider_taken,
	changed_elsewhere: m.reason_changed_elsewhere,
	key_name_taken: m.reason_key_name_taken,
	vault_full: m.reason_vault_full,
	vault_exists: m.reason_vault_exists,
	no_cloudflare: m.reason_no_cloudflare
};

/** Nothing where the reason is missing or from a later version. */
export function reasonSentence({ reason }: Record<string, unknown>): string | undefined {
	return Object.entries(SENTENCES).find(([known]) => known === reason)?.[1]();
}
