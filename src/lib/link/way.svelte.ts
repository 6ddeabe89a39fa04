// How a page reaches its device, found once by the page's frame for all that is in it.

import { getContext, setContext } from 'svelte';
import { device as door, inApp, type DevicePath } from '$lib/host';
import type { Level } from '$lib/api/types';
import type { Way } from './reach';

const KEY = Symbol('way');

export class WayThere implements Way {
	path = $state.raw<DevicePath>();
	/** What the device let this app do when it was reached last. */
	level = $state<Level>();

	get looking(): boolean {
		return inApp && !this.path?.kind && !this.path?.trouble;
	}

	get straight(): boolean {
		return this.path?.endToEnd ?? false;
	}

	/** Until the returned is called. */
	watch(id: string): () => void {
		this.path = undefined;
		this.level = undefined;
		return door(id).watchPath((now) => {
			this.path = now;
			// A path that is lost takes no right away; the server's own does.
			if (now.kind) this.level = now.level;
		});
	}
}

/** Keeps the way to a device; `id` gives nothing while there is none to reach. */
export function provideWay(id: () => string | undefined): WayThere {
	const way = setContext(KEY, new WayThere());
	const wanted = $derived(id());
	$effect(() => {
		if (wanted !== undefined) return way.watch(wanted);
	});
	return way;
}

/** The way of the page around. */
export function useWay(): WayThere {
	return getContext<WayThere>(KEY);
}
