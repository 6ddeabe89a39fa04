// The newest measurements of one device, for sparklines. Old ones fall out at the far end.

import type { Sample, TimedSample } from '$lib/api/types';

/** Ten minutes at one every ten seconds. */
export const RING_SIZE = 60;

export function withSample(ring: readonly TimedSample[], at: number, sample: Sample): TimedSample[] {
	const newest = ring.at(-1);
	// A reconnect may say one again; order is by the server's time.
	if (newest && newest.at >= at) return ring as TimedSample[];
	return [...ring.slice(-(RING_SIZE - 1)), { at, sample }];
}

/** What was measured before the page opened, put in front of what came since. */
export function withHistory(ring: readonly TimedSample[], history: readonly TimedSample[]): TimedSample[] {
	const first = ring[0]?.at ?? Infinity;
	return [...history.filter((item) => item.at < first), ...ring].slice(-RING_SIZE);
}
