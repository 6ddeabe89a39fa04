// An exported vault as a file of this machine: its name and reading it.

import type { VaultFile } from '$lib/api/types';

/** Larger than any vault. */
const MOST_BYTES = 2 * 1024 * 1024;

/** `foreman-vault-2026-11-21.json` */
export function fileName(createdAt: number): string {
	return `foreman-vault-${new Date(createdAt).toISOString().slice(0, 10)}.json`;
}

/** Nothing for what is no exported vault. The server looks at the rest. */
export async function read(file: Blob): Promise<VaultFile | undefined> {
	if (file.size > MOST_BYTES) return undefined;
	try {
		const content: unknown = JSON.parse(await file.text());
		return isVaultFile(content) ? content : undefined;
	} catch {
		return undefined;
	}
}

function isVaultFile(content: unknown): content is VaultFile {
	return (
		typeof content === 'object' &&
		content !== null &&
		'format' in content &&
		content.format === 'foreman-vault' &&
		'sealed' in content &&
		typeof content.sealed === 'string'
	);
}
