import { redirect } from '@sveltejs/kit';
import { app, inApp, ready } from '$lib/host';
import type { PageLoad } from './$types';

/** Servers are the app's business; a browser has the one it came from. */
export const load: PageLoad = async () => {
	if (!inApp) redirect(307, '/');
	await ready();
	return { known: await app().servers.list() };
};
