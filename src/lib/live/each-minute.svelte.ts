// For what moves without an event, such as when a key was last used: read again each minute while somebody looks.

import { untrack } from 'svelte';
import { clock } from '$lib/format';
import type { Live } from './live.svelte';

/** Calls `read` with each minute that begins, as soon as the link is live. For components, while they are made. */
export function eachMinute(live: Live, read: () => unknown): void {
	const minute = $derived(clock.minute);
	let last = untrack(() => minute);
	$effect(() => {
		if (minute === last || live.link.kind !== 'live') return;
		last = minute;
		untrack(read);
	});
}

/** What is shown, as it stands now. What else there is comes with its own page or event. */
export function renewed<One extends { id: string }>(
	shown: readonly One[],
	now: readonly One[]
): readonly One[] {
	const known = new Map(now.map((one) => [one.id, one]));
	return shown.map((one) => known.get(one.id) ?? one);
}
