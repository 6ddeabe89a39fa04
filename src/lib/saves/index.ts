// Saving files on this machine, by whatever has the page open.

import { inApp, save, saveContent } from '$lib/host';
import { oneLineFor, toasts } from '$lib/ui';

/** Saves what is at an address of the API; says so where that cannot be begun. */
export function download(address: string, name?: string): void {
	save(address, name).catch(failed);
}

/** Saves what the page made. */
export function saveMade(made: Blob, name: string): void {
	saveContent(made, name).catch(failed);
}

/** For a link that a browser downloads by itself: the app's window has to be told. */
export function saveLink(event: MouseEvent & { currentTarget: HTMLAnchorElement }): void {
	if (!inApp) return;
	event.preventDefault();
	const { href } = event.currentTarget;
	const { pathname, search } = new URL(href);
	download(pathname + search);
}

const failed = (thrown: unknown) => toasts.show({ text: oneLineFor(thrown), tone: 'failed' });
