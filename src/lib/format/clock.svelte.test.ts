import { flushSync } from 'svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Clock } from './clock.svelte';

let hidden = false;

beforeEach(() => {
	vi.useFakeTimers({ now: 1_000_000 });
	hidden = false;
	vi.stubGlobal('document', {
		get visibilityState() {
			return hidden ? 'hidden' : 'visible';
		},
		addEventListener() {},
		removeEventListener() {}
	});
});

afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

/** How often what `read` says is drawn in so many seconds. */
function drawn(read: () => unknown, seconds: number): number {
	let count = -1;
	const stop = $effect.root(() => {
		$effect(() => {
			read();
			count++;
		});
	});
	flushSync();
	for (let second = 0; second < seconds; second++) {
		vi.advanceTimersByTime(1000);
		flushSync();
	}
	stop();
	flushSync();
	return count;
}

describe('the clock', () => {
	it('ticks only while somebody reads it', () => {
		const clock = new Clock();
		expect(vi.getTimerCount()).toBe(0);
		expect(clock.now).toBe(1_000_000);
		expect(vi.getTimerCount(), 'outside of what is drawn it is only looked at').toBe(0);
		expect(drawn(() => clock.now, 10)).toBe(10);
		vi.runAllTicks();
		expect(vi.getTimerCount(), 'nobody reads it any more').toBe(0);
	});

	it('moves by the second only near what is said in seconds', () => {
		const clock = new Clock();
		const [just, before] = [Date.now(), Date.now() - 3 * 60_000];
		expect(drawn(() => clock.near(before), 60)).toBe(3);
		expect(drawn(() => clock.near(just), 0)).toBe(0);
		expect(drawn(() => clock.near(Date.now()), 30)).toBeGreaterThanOrEqual(30);
	});

	it('does not tick in a window that nobody sees', () => {
		const clock = new Clock();
		hidden = true;
		expect(drawn(() => clock.now, 60)).toBe(0);
	});

	it('follows a server whose clock is another, and says so at once', () => {
		const clock = new Clock();
		const seen: number[] = [];
		const stop = $effect.root(() => {
			$effect(() => void seen.push(clock.slow));
		});
		flushSync();
		clock.serverSaid(Date.now() + 500);
		clock.serverSaid(Date.now() + 3_600_000);
		flushSync();
		stop();
		expect(seen).toEqual([1_000_000, 4_600_000]);
	});
});
