// What a program's sign-in by the browser was opened with, as OAuth has it: no name twice.

import type { AuthorizationRequest } from '$lib/api/types';

const NAMES = [
	'response_type',
	'client_id',
	'redirect_uri',
	'state',
	'scope',
	'code_challenge',
	'code_challenge_method',
	'client_name'
] as const satisfies readonly (keyof AuthorizationRequest)[];

export type AskedAuthorization = Partial<Record<(typeof NAMES)[number], string>>;

/** Nothing when a name is there twice: then nobody can say which one is meant. */
export function readAuthorization(query: URLSearchParams): AskedAuthorization | undefined {
	const request: AskedAuthorization = {};
	for (const name of NAMES) {
		const [value, ...more] = query.getAll(name);
		if (more.length > 0) return undefined;
		if (value !== undefined) request[name] = value;
	}
	return request;
}
