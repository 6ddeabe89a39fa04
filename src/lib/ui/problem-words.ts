// A failed request in the reader's language: what happened, what was kept, what to do.

import { dollars, exactTime, plainDuration } from '$lib/format';
import { problemOf, type ProblemError } from '$lib/host';
import { m } from '$lib/i18n';
import { reasonSentence } from './problem-reasons';

export interface ProblemWords {
	what: string;
	kept?: string;
	todo?: string;
}

/** When to try again; `seconds` as the server said it, a minute where it did not. */
function againIn(seconds: unknown): string {
	const wait = typeof seconds === 'number' && seconds > 0 ? seconds : 60;
	// To the minute, and never too early.
	const told = wait < 60 ? wait : Math.ceil(wait / 60) * 60;
	return m.problem_rate_limited_todo({ time: plainDuration(told * 1000) });
}

/** What a device's policy says no by, where the device named it. */
function forbidden(setting: unknown): string {
	return typeof setting === 'string' ? m.problem_policy_forbids_by({ setting }) : m.problem_policy_forbids();
}

export function wordsFor(thrown: unknown): ProblemWords {
	const problem = problemOf(thrown);
	switch (problem.code) {
		case 'unreachable':
			return {
				what: m.problem_unreachable(),
				kept: m.problem_nothing_changed(),
				todo: m.problem_unreachable_todo()
			};
		case 'unauthenticated':
			return { what: m.problem_unauthenticated(), todo: m.problem_unauthenticated_todo() };
		case 'forbidden':
			return { what: m.problem_forbidden(), todo: m.problem_forbidden_todo() };
		case 'not_found':
			return { what: m.problem_not_found(), todo: m.problem_not_found_todo() };
		case 'rate_limited':
			return { what: m.problem_rate_limited(), todo: againIn(problem.details.retry_after_s) };
		case 'storage_unavailable':
			return { what: m.problem_storage(), kept: m.problem_nothing_changed(), todo: m.problem_storage_todo() };
		case 'unavailable':
			return {
				what: m.problem_unavailable(),
				kept: m.problem_nothing_changed(),
				todo: m.problem_unavailable_todo()
			};
		case 'sign_in_failed':
			return { what: m.problem_sign_in_failed() };
		case 'setup_code_wrong':
			return { what: m.problem_setup_code() };
		case 'setup_done':
			return { what: m.problem_setup_done() };
		case 'limit_reached':
			return reasoned(problem) ?? { what: m.problem_limit(), todo: problem.message || undefined };
		case 'too_large':
			return { what: m.problem_too_large() };
		case 'conflict':
			return (
				reasoned(problem) ?? {
					what: m.problem_conflict(),
					todo: problem.message || m.problem_conflict_todo()
				}
			);
		case 'device_gone':
			return { what: m.problem_device_gone() };
		case 'host_not_allowed':
			return { what: m.problem_host(), todo: m.problem_host_todo() };
		case 'invalid_request':
			return { what: m.problem_invalid(), todo: problem.message || undefined };
		case 'policy_forbids':
			return { what: forbidden(problem.details.setting), todo: m.problem_policy_forbids_todo() };
		case 'grant_not_enough':
			return { what: m.problem_grant_not_enough(), todo: m.problem_grant_not_enough_todo() };
		case 'server_not_trusted':
			return { what: m.problem_server_not_trusted(), todo: m.problem_server_not_trusted_todo() };
		case 'device_unreachable':
			return { what: m.problem_device_unreachable(), todo: m.problem_device_unreachable_todo() };
		case 'changed':
			return {
				what: m.problem_changed(),
				kept: m.problem_nothing_changed(),
				todo: m.problem_changed_todo()
			};
		case 'vault_locked':
			return { what: m.problem_vault_locked(), todo: m.problem_vault_locked_todo() };
		case 'vault_missing':
			return { what: m.problem_vault_missing(), todo: m.problem_vault_missing_todo() };
		case 'vault_password_wrong':
			return { what: m.problem_vault_password(), kept: m.problem_nothing_changed() };
		case 'model_unavailable':
			return { what: m.problem_model_unavailable(), todo: m.problem_model_unavailable_todo() };
		case 'upstream_failed':
			return { what: m.problem_upstream(), todo: m.problem_upstream_todo() };
		case 'spend_cap_reached':
			return capWords(problem.details);
		case 'no_server':
			return { what: m.problem_no_server() };
		case 'not_an_address':
			return { what: m.problem_not_an_address(), todo: m.problem_not_an_address_todo() };
		case 'other_certificate':
			return { what: m.problem_other_certificate(), todo: m.problem_other_certificate_todo() };
		case 'keychain_locked':
			return { what: m.problem_keychain_locked(), todo: m.problem_keychain_locked_todo() };
		case 'keychain_missing':
			return { what: m.problem_keychain_missing() };
		case 'passphrase_needed':
			return { what: m.problem_passphrase_needed() };
		case 'passphrase_wrong':
			return { what: m.problem_passphrase_wrong(), kept: m.problem_nothing_changed() };
		case 'passphrase_weak':
			return { what: m.problem_passphrase_weak(), todo: m.signin_file_hint() };
		case 'wrong_configuration':
			return { what: m.problem_wrong_configuration(), todo: problem.message || undefined };
		case 'provider_failed':
			return { what: m.problem_provider_failed(), todo: problem.message || undefined };
		case 'sign_in_again':
			return { what: m.problem_sign_in_again(), todo: m.problem_sign_in_again_todo() };
		case 'sign_in_denied':
			return { what: m.problem_sign_in_denied() };
		case 'sign_in_expired':
			return { what: m.problem_sign_in_expired(), todo: m.problem_sign_in_expired_todo() };
		case 'no_browser_sign_in':
			return { what: m.problem_no_browser_sign_in(), todo: m.problem_no_browser_sign_in_todo() };
		case 'wrong_return':
			return { what: m.problem_wrong_return(), todo: m.problem_sign_in_expired_todo() };
		case 'storage':
			return { what: m.problem_storage_here(), todo: problem.message || undefined };
		case 'program_failed':
			return { what: m.problem_program_failed(), todo: problem.message || undefined };
		case 'no_notifications':
			return { what: m.notices_missing(), todo: m.notices_missing_todo() };
		case 'push_unanswered':
			return { what: m.push_unanswered(), todo: m.push_waits_todo() };
		case 'push_offline':
			return { what: m.push_offline(), todo: m.push_offline_todo() };
		case 'push_waits':
			return { what: m.push_waits(), todo: m.push_waits_todo() };
		case 'push_refused':
			return { what: m.push_refused(), todo: problem.message || undefined };
		case 'not_taken':
			return { what: m.shell_failed(), todo: problem.message || undefined };
		case 'no_services':
			return {
				what: m.problem_no_services(),
				kept: m.problem_nothing_changed(),
				todo: m.problem_no_services_todo()
			};
		case 'services_failed':
			return { what: m.problem_services_failed(), todo: problem.message || undefined };
		case 'services_stopped':
			return { what: m.problem_services_stopped(), todo: m.problem_services_stopped_todo() };
		case 'update_failed':
			return {
				what: m.problem_update_failed(),
				kept: m.problem_nothing_changed(),
				todo: problem.message || undefined
			};
		case 'update_forged':
			return { what: m.problem_update_forged(), kept: m.problem_nothing_changed() };
		case 'locked':
			return { what: m.lock_title() };
		case 'not_theirs':
			return { what: m.problem_not_theirs(), kept: m.problem_nothing_changed() };
		case 'not_believed':
			return {
				what: m.problem_not_believed(),
				kept: m.problem_not_believed_kept(),
				todo: m.problem_not_believed_todo()
			};
		case 'no_link':
			return { what: m.problem_no_link(), todo: problem.message || undefined };
		default:
			return {
				what: m.problem_unexpected(),
				todo: m.problem_unexpected_todo({ code: problem.code })
			};
	}
}

/** Where it says which of many causes it has. */
function reasoned(problem: ProblemError): ProblemWords | undefined {
	const what = reasonSentence(problem.details);
	return what === undefined ? undefined : { what };
}

/** With the numbers, where the server gave them. */
function capWords({ cap_micros, spent_micros, resets_at }: Record<string, unknown>): ProblemWords {
	const known = typeof cap_micros === 'number' && typeof spent_micros === 'number';
	return {
		what: known
			? m.problem_cap({ spent: dollars(spent_micros), cap: dollars(cap_micros) })
			: m.problem_cap_plain(),
		kept: typeof resets_at === 'number' ? m.problem_cap_resets({ time: exactTime(resets_at) }) : undefined,
		todo: m.problem_cap_todo()
	};
}

/** The same in one line, for toasts. */
export function oneLineFor(thrown: unknown): string {
	const words = wordsFor(thrown);
	return [words.what, words.todo].filter(Boolean).join(' ');
}
