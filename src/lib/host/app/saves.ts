// Files that the program saves on this machine. What they hold never goes through the page.

import { Channel } from '@tauri-apps/api/core';
import { asProblem, call } from './call';
import type { Failure, Save } from './commands';
import { headOf } from './send';

export type { Save, SaveState } from './commands';

/** Begins to save what is at an address of the API; without a name it is called as the answer says. */
export const begin = (address: string, name?: string) =>
	call<number>('begin_save', { head: headOf('GET', address), name });

/** Saves what the page made. */
export async function content(made: Blob, name: string): Promise<number> {
	const headers = { 'x-foreman-name': encodeURIComponent(name) };
	return call<number>('save_content', new Uint8Array(await made.arrayBuffer()), { headers });
}

/** Tells all of them, now and whenever something changes. Returns how to stop. */
export function watch(tell: (saves: Save[]) => void): () => void {
	const opened = call<number>('watch_saves', { news: new Channel<Save[]>(tell) });
	opened.catch(() => tell([]));
	return () => void opened.then((number) => call('close_stream', { number })).catch(() => {});
}

export const pause = (number: number) => call<void>('pause_save', { number });
export const resume = (number: number) => call<void>('resume_save', { number });
/** Takes it from the list; what is not there as a whole is thrown away. */
export const remove = (number: number) => call<void>('remove_save', { number });
/** Shows the file where it lies. */
export const show = (number: number) => call<void>('show_save', { number });

/** Why one is not there. */
export const why = (failure: Failure) => asProblem(failure);
