import type { PushDetail, PushReceiver } from '$lib/api/types';
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
