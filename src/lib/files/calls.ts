// What can be asked about the files of a device and done to them.

import type { FileEntry, FileRoots, GitStatus, Page, SearchEnd, SearchHit, Trashed } from '$lib/api/types';
import { device, problemOf, type Subscription, type ProblemError } from '$lib/host';

export function roots(id: string): Promise<FileRoots> {
	return device(id).call('GET', '/files/roots');
}

export interface ListQuery {
	path: string;
	hidden: boolean;
	cursor?: string;
	limit: number;
}

export function list(id: string, query: ListQuery, signal: AbortSignal): Promise<Page<FileEntry>> {
	return device(id).call('GET', '/files', { query: { ...query }, signal });
}

export function stat(id: string, path: string): Promise<FileEntry> {
	return device(id).call('GET', '/files/stat', { query: { path } });
}

/** Nothing where there is no repository. */
export async function git(id: string, path: string): Promise<GitStatus | undefined> {
	try {
		return (await device(id).call<GitStatus | null>('GET', '/files/git', { query: { path } })) ?? undefined;
	} catch (thrown) {
		// As agents of before said it.
		if (problemOf(thrown).code === 'not_found') return undefined;
		throw thrown;
	}
}

export async function find(id: string, path: string, q: string, signal: AbortSignal): Promise<FileEntry[]> {
	const query = { path, q, limit: 200 };
	return (await device(id).call<Page<FileEntry>>('GET', '/files/find', { query, signal })).items;
}

/** Bytes from `start`, at most `length` of them. */
export async function read(id: string, path: string, start: number, length: number): Promise<Uint8Array> {
	const headers = { Range: `bytes=${start}-${start + length - 1}` };
	const response = await device(id).open('/files/content', { query: { path }, headers });
	return new Uint8Array(await response.arrayBuffer());
}

export function contentHref(id: string, path: string, download = false): string {
	return device(id).href('/files/content', { path, download: download || undefined });
}

export interface SearchQuery {
	path: string;
	q: string;
	/** Whether capitals matter; when not said, only if there are any in `q`. */
	case?: boolean;
	regex: boolean;
	glob: string;
	/** To go on in a file where a hit was: where its line begins, in bytes, and its number. That hit comes again. */
	from?: number;
	from_line?: number;
}

export interface SearchEvents {
	hit: (hit: SearchHit) => void;
	end: (end: SearchEnd) => void;
	failed: (problem: ProblemError) => void;
}

/** Hits as they are found. Broken off, it is over: a search is asked again, not continued. */
export function search(id: string, query: SearchQuery, events: SearchEvents): Subscription {
	const asked = { ...query, glob: query.glob || undefined };
	const stream = device(id).stream('/files/search', asked, {
		message: ({ event, data }) => {
			if (event === 'hit') events.hit(JSON.parse(data) as SearchHit);
			else if (event === 'end') {
				stream.close();
				events.end(JSON.parse(data) as SearchEnd);
			}
		},
		link: (state) => {
			if (state.kind === 'reconnecting' || (state.kind === 'ended' && state.problem)) {
				stream.close();
				events.failed(state.problem!);
			}
		}
	});
	return stream;
}

export function move(id: string, from: string, to: string, replace = false): Promise<FileEntry> {
	return device(id).call('POST', '/files/move', { json: { from, to, replace } });
}

export function makeFolder(id: string, path: string): Promise<FileEntry> {
	return device(id).call('POST', '/files/directories', { json: { path } });
}

export function trash(id: string, path: string): Promise<Trashed> {
	return device(id).call('DELETE', '/files', { query: { path } });
}

export function restore(id: string, trashed: string): Promise<unknown> {
	return device(id).call('POST', '/files/restore', { json: { id: trashed } });
}
