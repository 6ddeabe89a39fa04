// One command of the app; what it refuses becomes the same error that a request has.

import { invoke, type InvokeArgs, type InvokeOptions } from '@tauri-apps/api/core';
import { ProblemError, type FailureCode } from '../problem';
import type { Failure } from './commands';
import { locked } from './locked.svelte';
import { secretsNeeded } from './secrets-needed.svelte';

export async function call<T>(command: string, args?: InvokeArgs, options?: InvokeOptions): Promise<T> {
	try {
		return await invoke<T>(command, args, options);
	} catch (thrown) {
		const problem = asProblem(thrown);
		secretsNeeded.heed(problem.code);
		locked.heed(problem.code);
		throw problem;
	}
}

export function asProblem(thrown: unknown): ProblemError {
	if (isFailure(thrown)) {
		return new ProblemError(thrown.code as FailureCode, thrown.message, thrown.status, thrown.details);
	}
	return new ProblemError('unreadable', String(thrown));
}

function isFailure(thrown: unknown): thrown is Failure {
	return typeof thrown === 'object' && thrown !== null && 'code' in thrown && 'message' in thrown;
}
