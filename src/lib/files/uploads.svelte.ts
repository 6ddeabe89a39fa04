// The files on their way to a device, one after the other, for as long as this page lives: leaving the folder does
// not stop them.

import { device } from '$lib/host';
import { joined } from './paths';
import { UploadJob } from './upload.svelte';

export class Uploads {
	jobs = $state.raw<UploadJob[]>([]);
	#running = false;

	constructor(
		private readonly id: string,
		/** One arrived: the folder it is in shows it. */
		private readonly arrived: (path: string) => void
	) {}

	add(folder: string, files: Iterable<File>): void {
		const door = device(this.id);
		const more = [...files].map((file) => new UploadJob(door, file, joined(folder, file.name)));
		this.jobs = [...this.jobs, ...more];
		void this.#run();
	}

	async go(job: UploadJob, replace: boolean): Promise<void> {
		await job.go(replace);
		if (job.state.kind === 'done') this.arrived(job.path);
		void this.#run();
	}

	remove(job: UploadJob): void {
		this.jobs = this.jobs.filter((one) => one !== job);
		void job.cancel();
	}

	/** One at a time: the line is the same for all. */
	async #run(): Promise<void> {
		if (this.#running) return;
		this.#running = true;
		for (;;) {
			const next = this.jobs.find(({ state }) => state.kind === 'waiting');
			if (!next) break;
			await next.go();
			if (next.state.kind === 'done') this.arrived(next.path);
		}
		this.#running = false;
	}
}

const known = new Map<string, Uploads>();
const listeners = new Set<(path: string) => void>();

/** Those of a device, the same wherever one asks from. */
export function uploadsOf(id: string): Uploads {
	let uploads = known.get(id);
	if (!uploads) {
		uploads = new Uploads(id, (path) => {
			for (const listener of listeners) listener(path);
		});
		known.set(id, uploads);
	}
	return uploads;
}

export function onUploaded(listener: (path: string) => void): () => void {
	listeners.add(listener);
	return () => listeners.delete(listener);
}
