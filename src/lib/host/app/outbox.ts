// Changes that wait in the program until their server is there.

import { Channel } from '@tauri-apps/api/core';
import { call } from './call';
import type { Aside, NewChange, WaitingChange } from './commands';

export type { Aside, NewChange, WaitingChange } from './commands';

export const add = (change: NewChange) => call<void>('queue_change', { change });
export const drop = (place: number) => call<void>('drop_change', { place });
export const retry = (place: number) => call<void>('retry_change', { place });

/** What is sealed with the keys of a keychain that a file took the place of. */
export const aside = () => call<Aside>('aside');
/** Says what is left. */
export const takeInAside = () => call<Aside>('take_in_aside');
export const dropAside = () => call<void>('drop_aside');

/** Says what waits, now and whenever that changes. Returns how to stop. */
export function watch(tell: (waiting: WaitingChange[]) => void): () => void {
	let stopped = false;
	const news = new Channel<WaitingChange[]>((waiting) => {
		if (!stopped) tell(waiting);
	});
	const opened = call<number>('watch_queue', { news });
	// No server, or a keychain that does not open: then nothing waits here.
	opened.catch(() => {});
	return () => {
		stopped = true;
		void opened.then((number) => call('close_stream', { number })).catch(() => {});
	};
}
