// Which side of the door stands here: the browser's own, or the app's, which is fetched only there.

/** Whether this page is in the app's window. */
export const inApp = typeof window !== 'undefined' && '__TAURI_INTERNALS__' in window;

type AppSide = typeof import('./app');

let side: AppSide | undefined;

/** On its way as soon as this is read, not only once the first page is loaded. */
const coming = inApp ? import('./app').then((arrived) => void (side = arrived)) : undefined;

/** Awaited before anything is asked of the app: pages that load at the same time do not wait for each other. */
export async function ready(): Promise<void> {
	await coming;
}

/** The app's side; only to be asked for `inApp`. */
export function app(): AppSide {
	if (!side) throw new Error('the app’s side of the door is not here');
	return side;
}

/** `fetch`, by whatever way leads to the server. Looked up at each call, so that tests can put theirs in place. */
export async function send(input: Request | string, init: RequestInit): Promise<Response> {
	await coming;
	return side ? side.send(input, init) : globalThis.fetch(input, init);
}
