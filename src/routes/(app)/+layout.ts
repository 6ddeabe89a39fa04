import { error, redirect } from '@sveltejs/kit';
import { inApp, problemOf, typed } from '$lib/host';
import { currentSession, setupNeeded, signInPath } from '$lib/session';
import type { LayoutLoad } from './$types';

/** Nothing in here is drawn for somebody who is not signed in. */
export const load: LayoutLoad = async ({ url, untrack }) => {
	// Asked once, not at each change of the address.
	const here = untrack(() => new URL(url));
	try {
		const [me] = await Promise.all([currentSession(), typed.load()]);
		return { me };
	} catch (thrown) {
		const problem = problemOf(thrown);
		if (inApp && problem.code === 'no_server') redirect(307, '/welcome');
		if (inApp && problem.code === 'unauthenticated') redirect(307, signInPath(here));
		if (problem.code !== 'unauthenticated') error(problem.status || 503, problem.code);
		const needed = await setupNeeded().catch(() => false);
		redirect(307, needed ? '/setup' : signInPath(here));
	}
};
