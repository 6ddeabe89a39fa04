// One file on its way to a device, in pieces that each arrive for good: paused, cut off or refused, it goes on from
// the byte that the device has.

import type { Upload } from '$lib/api/types';
import { ProblemError, problemOf, type DeviceDoor } from '$lib/host';

export type UploadState =
	| { kind: 'waiting' }
	| { kind: 'sending' }
	| { kind: 'paused' }
	/** Tried again by itself. */
	| { kind: 'cut'; problem: ProblemError }
	/** Something of that name is there. */
	| { kind: 'exists' }
	| { kind: 'failed'; problem: ProblemError }
	| { kind: 'done' };

const PIECE = 2 * 1024 * 1024;
/** A piece over a slow line takes a while. */
const TIMEOUT_MS = 120_000;
const RETRY_MS = 2_000;

export class UploadJob {
	state = $state.raw<UploadState>({ kind: 'waiting' });
	/** Bytes that are safe on the device. */
	received = $state(0);
	#upload: Upload | undefined;
	#abort: AbortController | undefined;
	#retry: ReturnType<typeof setTimeout> | undefined;

	constructor(
		private readonly door: DeviceDoor,
		readonly file: Blob & { readonly name: string },
		readonly path: string
	) {}

	get busy(): boolean {
		return this.state.kind === 'sending' || this.state.kind === 'cut';
	}

	/** Begins, or goes on. Resolves when it stands, for whatever reason. */
	async go(replace = false): Promise<void> {
		clearTimeout(this.#retry);
		const { signal } = (this.#abort = new AbortController());
		this.state = { kind: 'sending' };
		try {
			await this.#begin(replace);
			while (!signal.aborted && !this.#upload!.done) await this.#piece(signal);
			if (!signal.aborted) this.state = { kind: 'done' };
		} catch (thrown) {
			if (!signal.aborted) this.#stopped(problemOf(thrown));
		}
	}

	pause(): void {
		this.#abort?.abort();
		clearTimeout(this.#retry);
		this.state = { kind: 'paused' };
	}

	/** For good; what arrived is thrown away there. */
	async cancel(): Promise<void> {
		this.#abort?.abort();
		clearTimeout(this.#retry);
		const upload = this.#upload;
		this.#upload = undefined;
		if (upload && !upload.done)
			await this.door.call('DELETE', `/uploads/${upload.id}`).catch(() => undefined);
	}

	async #begin(replace: boolean): Promise<void> {
		const { path, file } = this;
		this.#take(
			this.#upload
				? await this.door.call<Upload>('GET', `/uploads/${this.#upload.id}`)
				: await this.door.call<Upload>('POST', '/uploads', { json: { path, size: file.size, replace } })
		);
		// An empty file is finished by a piece of nothing.
		if (file.size === 0 && !this.#upload!.done) await this.#piece(this.#abort!.signal);
	}

	async #piece(signal: AbortSignal): Promise<void> {
		const { id, received } = this.#upload!;
		const body = this.file.slice(received, received + PIECE);
		try {
			this.#take(
				await this.door.call<Upload>('PATCH', `/uploads/${id}`, {
					query: { offset: received },
					body,
					headers: { 'Content-Type': 'application/octet-stream' },
					signal,
					timeout: TIMEOUT_MS
				})
			);
		} catch (thrown) {
			const { code, details } = problemOf(thrown);
			// The device has more or less than we think: it says from where to go on.
			if (code !== 'upload_offset' || typeof details.expected !== 'number') throw thrown;
			if (details.expected === received) throw thrown;
			this.#take({ ...this.#upload!, received: details.expected });
		}
	}

	#take(upload: Upload): void {
		this.#upload = upload;
		this.received = upload.received;
	}

	#stopped(problem: ProblemError): void {
		// A device that gives no reason means this one.
		const taken = problem.code === 'conflict' && (problem.details.reason ?? 'name_taken') === 'name_taken';
		if (taken && !this.#upload) this.state = { kind: 'exists' };
		else if (problem.passing) {
			this.state = { kind: 'cut', problem };
			this.#retry = setTimeout(() => void this.go(), RETRY_MS);
		} else {
			// Gone there: begun anew when it is tried again.
			if (problem.code === 'not_found') this.#upload = undefined;
			this.state = { kind: 'failed', problem };
		}
	}
}
