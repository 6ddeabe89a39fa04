import { redirect } from '@sveltejs/kit';

/** Devices are set up where they are listed. */
export function load(): never {
	redirect(307, '/devices');
}
