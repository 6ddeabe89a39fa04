// Files of this machine: what is saved to it, and pictures that the page shows. In a browser that is the browser's own
// business, which knows progress, resuming and the folder; in the app the program does it.

import { ProblemError, problemFrom, problemOf } from './problem';
import { app, inApp, send } from './transport';

/** Larger ones are not shown in the app's window, where the page holds all of a picture. Bytes. */
const MOST_SHOWN = 32 * 1024 * 1024;
/** The browser has begun to read it by then. ms */
const BEGUN_MS = 10_000;

/** Saves what is at an address of the API. Rejects with a ProblemError where it cannot even be begun. */
export async function save(address: string, name?: string): Promise<void> {
	if (inApp) await app().saves.begin(address, name);
	else follow(address, name ?? '');
}

/** Saves what the page made. */
export async function saveContent(made: Blob, name: string): Promise<void> {
	if (inApp) {
		await app().saves.content(made, name);
		return;
	}
	const address = URL.createObjectURL(made);
	follow(address, name);
	setTimeout(() => URL.revokeObjectURL(address), BEGUN_MS);
}

/** By the browser itself, which shows the progress and can go on after a break. */
function follow(address: string, name: string): void {
	const link = document.createElement('a');
	link.href = address;
	link.download = name;
	// Not a page of the dashboard.
	link.dataset.sveltekitReload = '';
	document.body.append(link);
	link.click();
	link.remove();
}

export interface ShownPicture {
	/** For an `img`. */
	src: string;
	/** Once nobody looks at it any more. */
	release(): void;
}

/** A picture at an address of the API, so that an `img` can show it. Throws a ProblemError. */
export async function picture(address: string, size: number, signal: AbortSignal): Promise<ShownPicture> {
	if (!inApp) return { src: address, release: () => {} };
	if (size > MOST_SHOWN) throw new ProblemError('too_large', '');
	let response: Response;
	try {
		response = await send(address, { signal });
	} catch (thrown) {
		throw signal.aborted ? thrown : problemOf(thrown);
	}
	if (!response.ok) throw problemFrom(response.status, await response.json().catch(() => undefined));
	const src = URL.createObjectURL(await response.blob());
	return { src, release: () => URL.revokeObjectURL(src) };
}
