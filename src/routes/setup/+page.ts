import { redirect } from '@sveltejs/kit';
import { inApp } from '$lib/host';
import { setupNeeded } from '$lib/session';
import type { PageLoad } from './$types';

export const load: PageLoad = async () => {
	if (inApp) redirect(307, '/welcome');
	// A server that does not answer now is told apart when the form is sent.
	const needed = await setupNeeded().catch(() => true);
	if (!needed) redirect(307, '/sign-in');
};
