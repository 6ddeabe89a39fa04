// What a provider is used for, as boxes that are ticked: "everything" holds the others.

import type { UseFor } from '$lib/api/types';

const SINGLE: readonly UseFor[] = ['code', 'research'];

/** The uses after one box was ticked or cleared. */
export function withUse(uses: readonly UseFor[], use: UseFor, on: boolean): UseFor[] {
	if (use === 'all') return on ? ['all'] : [];
	// Clearing one of "everything" leaves the others.
	const before = uses.includes('all') ? SINGLE : uses;
	return SINGLE.filter((one) => (one === use ? on : before.includes(one)));
}
