// What was typed and not sent, kept by the program, sealed and for each server. Pages read it at once: all of the shown
// server comes when its first page is loaded, and each change goes there one after the other, the newest last.

import { call } from './call';
import type { KeptDrafts } from './commands';

let server: string | undefined;
let known = new Map<string, string>();
/** Not yet with the program; without text it is taken out there. */
let unwritten = new Map<string, string | null>();
let writing: Promise<void> | undefined;

/**
 * Those of the shown server, in place of all others. Never fails: without a keychain they last as long as the page.
 * `earlier`: what an earlier app kept in the page's own storage, taken over where nothing newer is known.
 */
export async function load(earlier: ReadonlyMap<string, string>): Promise<boolean> {
	await writing;
	try {
		const { server: shown, drafts } = await call<KeptDrafts>('drafts');
		server = shown;
		known = new Map(drafts);
		for (const [name, text] of earlier) {
			if (known.has(name)) continue;
			await call('keep_draft', { server, name, text });
			known.set(name, text);
		}
		return true;
	} catch {
		server = undefined;
		known = new Map();
		return false;
	}
}

export const kept = (name: string) => known.get(name);

export function keep(name: string, text: string): void {
	if (known.get(name) === text) return;
	known.set(name, text);
	change(name, text);
}

export function forget(name: string): void {
	if (known.delete(name)) change(name, null);
}

/** The program took them out with the sign-in. */
export function end(): void {
	server = undefined;
	known = new Map();
	unwritten = new Map();
}

function change(name: string, text: string | null): void {
	if (server === undefined) return;
	unwritten.set(name, text);
	writing ??= write(server).finally(() => (writing = undefined));
}

/** One at a time, because commands overtake each other; what was changed meanwhile is sent as it is then. */
async function write(to: string): Promise<void> {
	for (;;) {
		const next = unwritten.entries().next().value;
		if (!next) return;
		const [name, text] = next;
		unwritten.delete(name);
		// What cannot be kept there is in this page still, and goes again with the next letter.
		await call('keep_draft', { server: to, name, text }).catch(() => undefined);
	}
}
