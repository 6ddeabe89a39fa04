import type { PushDetail, PushFailure, PushReceiver } from '$lib/api/types';
import { problemOf } from '$lib/host';
import { m } from '$lib/i18n';

type Kind = PushReceiver['kind'];

export function kindName(kind: Kind): string {
	return {
		web_push: m.push_kind_web,
		unified_push: m.push_kind_unified,
		ntfy: m.push_kind_ntfy,
		apns: m.push_kind_apns,
		fcm: m.push_kind_fcm
	}[kind]();
}

/** Why a push did not get through; a code of a newer server is none that we have words for. */
export function whyFailed({ code }: PushFailure, kind: Kind): string {
	switch (code) {
		case 'not_configured':
			return m.push_why_not_configured();
		case 'not_allowed':
			return kind === 'ntfy' ? m.push_why_not_allowed_ntfy() : m.push_why_not_allowed();
		case 'account_refused':
			return m.push_why_account_refused();
		case 'unusable_keys':
			return m.push_why_unusable_keys();
		case 'address_refused':
			return m.push_why_address_refused();
		case 'no_answer':
			return m.push_why_no_answer();
		case 'unreachable':
			return m.push_why_unreachable();
		case 'busy':
			return m.push_why_busy();
		case 'trouble':
			return m.push_why_trouble();
		case 'refused':
			return m.push_why_refused();
		case 'gone':
			return m.push_why_gone();
		case 'internal':
			return m.push_why_internal();
		default:
			return m.push_why_unknown();
	}
}

/** What the carrier or the network itself said, in its own words. */
export function saidOf({ status, detail }: PushFailure): string {
	return [status, detail].filter(Boolean).join(' · ');
}

/** Why a test did not get through, where the server says so. */
export function failureOf(thrown: unknown): PushFailure | undefined {
	const { code, details } = problemOf(thrown);
	return code === 'upstream_failed' ? (details.failure as PushFailure | undefined) : undefined;
}

/** Who can read what is pushed. */
export function whoReads(kind: Kind): string {
	return {
		web_push: m.push_sealed,
		unified_push: m.push_sealed,
		ntfy: m.push_open_ntfy,
		apns: m.push_open_apns,
		fcm: m.push_open_fcm
	}[kind]();
}

export function detailOptions(): { value: PushDetail; label: string }[] {
	return [
		{ value: 'little', label: m.push_says_little() },
		{ value: 'title', label: m.push_says_title() },
		{ value: 'full', label: m.push_says_full() }
	];
}
