// A key's state and cap in words.

import type { CapPeriod, ModelKey } from '$lib/api/types';
import { dollars } from '$lib/format';
import { m } from '$lib/i18n';
import type { Status } from '$lib/ui';
import type { KeyState } from './draft';

export function keyStateWord(state: KeyState): string {
	return {
		ok: m.key_state_ok,
		spent: m.key_state_spent,
		expired: m.key_state_expired,
		revoked: m.key_state_revoked
	}[state]();
}

export function statusOfKey(state: KeyState): Status {
	return ({ ok: 'ok', spent: 'attention', expired: 'offline', revoked: 'offline' } as const)[state];
}

export function periodWord(period: CapPeriod): string {
	return { day: m.key_period_day, month: m.key_period_month, ever: m.key_period_ever }[period]();
}

/** `$1.20 of $5.00 a day` */
export function capWord(key: ModelKey): string {
	return m.key_cap_of({
		spent: dollars(key.spent_micros),
		cap: dollars(key.cap_micros ?? 0),
		period: periodWord(key.cap_period)
	});
}
