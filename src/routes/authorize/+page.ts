import { error, redirect } from '@sveltejs/kit';
import { inApp, problemOf } from '$lib/host';
import { currentSession, setupNeeded, signInPath } from '$lib/session';
import type { PageLoad } from './$types';

/** A person decides here, in a browser: the app asks and never answers itself. */
export const load: PageLoad = async ({ url }) => {
	if (inApp) redirect(307, '/');
	try {
		return { me: await currentSession() };
	} catch (thrown) {
		const problem = problemOf(thrown);
		if (problem.code !== 'unauthenticated') error(problem.status || 503, problem.code);
		const needed = await setupNeeded().catch(() => false);
		redirect(307, needed ? '/setup' : signInPath(url));
	}
};
