// Who is signed in, and how one signs in and out.

import type { Me, Role } from '$lib/api/types';
import { answer, app, inApp, request, typed } from '$lib/host';

/** From the least to the most. */
export const ROLES: readonly Role[] = ['viewer', 'operator', 'admin', 'owner'];

/** Whether somebody may do what needs this role. The server decides again; this only hides what would fail. */
export function may(me: Me | undefined, needed: Role): boolean {
	return me !== undefined && ROLES.indexOf(me.role) >= ROLES.indexOf(needed);
}

export function currentSession(): Promise<Me> {
	return answer(request.GET('/api/v1/session'));
}

export function signInWithPassword(name: string, password: string): Promise<Me> {
	return answer(request.POST('/api/v1/session', { body: { name, password } }));
}

export function signInWithTicket(ticket: string): Promise<Me> {
	return answer(request.POST('/api/v1/session', { body: { ticket } }));
}

/** In the app the program signs out: it has the token, and forgets it also when the server is not there. */
export async function signOut(): Promise<void> {
	if (inApp) {
		const { servers } = await app().servers.list();
		const shown = servers.find((server) => server.selected);
		if (shown) await app().servers.leave(shown.id, false);
	} else {
		await answer(request.DELETE('/api/v1/session'));
	}
	typed.end();
}

export async function setupNeeded(): Promise<boolean> {
	return (await answer(request.GET('/api/v1/setup'))).needed;
}

export function setUp(code: string, name: string, password: string): Promise<Me> {
	return answer(request.POST('/api/v1/setup', { body: { code, name, password } }));
}

/** Where to go after signing in: only to a page of this dashboard, never to an address somebody put in a link. */
export function destination(next: string | null): string {
	return next !== null && /^\/(?![/\\])/.test(next) && !/^\/(sign-in|setup)\b/.test(next) ? next : '/';
}

/** The sign-in page that comes back to where one was. The app's own says that the server took the sign-in back. */
export function signInPath(from: URL): string {
	if (inApp) return '/welcome?refused';
	const here = from.pathname + from.search;
	return here === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(here)}`;
}
