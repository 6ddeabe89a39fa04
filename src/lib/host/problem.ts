// What can go wrong with a request, as something to branch on. Never match on the text.

import type { Problem, ProblemCode } from '$lib/api/types';
import type { AppCode } from './app/commands';

/** The server's codes, and our own: nobody answered, the answer made no sense, and what only the app can meet. */
export type FailureCode = ProblemCode | AppCode | 'unreachable' | 'unreadable';

export class ProblemError extends Error {
	override readonly name = 'ProblemError';

	constructor(
		readonly code: FailureCode,
		/** The server's sentence for people, in English; empty when nobody answered. */
		message: string,
		/** HTTP status; 0 when nobody answered. */
		readonly status: number = 0,
		readonly details: Record<string, unknown> = {}
	) {
		super(message);
	}

	/** Trying the same again may work. */
	get passing(): boolean {
		return [
			'unreachable',
			'storage_unavailable',
			'unavailable',
			'rate_limited',
			'device_unreachable'
		].includes(this.code);
	}
}

/** Whatever was thrown, as a ProblemError. */
export function problemOf(thrown: unknown): ProblemError {
	if (thrown instanceof ProblemError) return thrown;
	if (thrown instanceof TypeError || (thrown instanceof DOMException && thrown.name === 'TimeoutError')) {
		return new ProblemError('unreachable', '');
	}
	return new ProblemError('unreadable', thrown instanceof Error ? thrown.message : String(thrown));
}

/** An unsuccessful response, read. */
export function problemFrom(status: number, body: unknown): ProblemError {
	if (isProblem(body)) return new ProblemError(body.code, body.detail, status, body.details ?? {});
	// A proxy in between answers in its own way.
	if (status === 502 || status === 503 || status === 504) return new ProblemError('unavailable', '', status);
	if (status === 401) return new ProblemError('unauthenticated', '', status);
	if (status === 404) return new ProblemError('not_found', '', status);
	return new ProblemError('unreadable', '', status);
}

function isProblem(body: unknown): body is Problem {
	return typeof body === 'object' && body !== null && 'code' in body && 'detail' in body;
}
