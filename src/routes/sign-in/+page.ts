import { redirect } from '@sveltejs/kit';
import { inApp } from '$lib/host';
import type { PageLoad } from './$types';

/** The app signs in by a code, from the page where servers are added. */
export const load: PageLoad = () => {
	if (inApp) redirect(307, '/welcome');
};
