// Calls that fail because the vault is locked: somebody is asked to open it there and then, and the call is repeated.

import type { Middleware } from 'openapi-fetch';
import { isObstacle, type Obstacle } from './vault.svelte';

/**
 * Only for calls that a person asked for: what a page reads by itself must not put a question on the screen. A call is
 * repeated once; locked again in between, it fails with that.
 */
export function repeatOnceOpen(open: (obstacle: Obstacle) => Promise<boolean>): Middleware {
	// What was sent is read by sending it.
	const copies = new Map<string, Request>();
	return {
		onRequest({ request, id }) {
			if (asksForSomething(request)) copies.set(id, request.clone());
			return undefined;
		},
		async onResponse({ response, id, options }) {
			const copy = copies.get(id);
			copies.delete(id);
			if (!copy || (response.status !== 423 && response.status !== 409)) return undefined;
			const problem: unknown = await response
				.clone()
				.json()
				.catch(() => undefined);
			const code = typeof problem === 'object' && problem !== null && 'code' in problem ? problem.code : '';
			if (!isObstacle(code) || !(await open(code))) return undefined;
			return options.fetch(copy);
		},
		onError({ id }) {
			copies.delete(id);
			return undefined;
		}
	};
}

/** The vault's own calls are how it is opened: they say themselves what is wrong. */
function asksForSomething(request: Request): boolean {
	const { pathname } = new URL(request.url);
	const opens = ['/api/v1/vault', '/api/v1/vault/unlock', '/api/v1/vault/lock', '/api/v1/vault/rotate'];
	return request.method !== 'GET' && !opens.includes(pathname);
}
