import { redirect } from '@sveltejs/kit';

/** Providers and models have pages of their own. */
export function load(): never {
	redirect(307, '/models');
}
