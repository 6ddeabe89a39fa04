// What somebody typed and did not send: drafts, and questions that wait. It survives a reload and ends with the
// sign-in. In a browser it lies in the page's storage; in the app with the program, sealed and for each server.

import { forget, keep, kept, keptNames } from './storage';
import { app, inApp, ready } from './transport';

/** A task's command, which may hold passwords; a conversation's words; questions that wait. */
const TYPED = /^(foreman\.task\.draft|chat-draft-.+|chat-outbox)$/;

const inPage = () => keptNames().filter((name) => TYPED.test(name));

export const typed = {
	/** Awaited before the first page of a server is drawn. */
	async load(): Promise<void> {
		if (!inApp) return;
		await ready();
		const names = inPage();
		const earlier = new Map(names.map((name) => [name, kept(name) ?? '']));
		if (await app().drafts.load(earlier)) names.forEach(forget);
	},

	kept: (name: string): string | undefined => (inApp ? app().drafts.kept(name) : kept(name)),
	keep: (name: string, text: string): void => (inApp ? app().drafts.keep(name, text) : keep(name, text)),
	forget: (name: string): void => (inApp ? app().drafts.forget(name) : forget(name)),

	/** Whoever signs in next is perhaps somebody else. */
	end(): void {
		if (inApp) app().drafts.end();
		inPage().forEach(forget);
	}
};
