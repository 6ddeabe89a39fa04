// Files that are to go with a question: taken in at once, so that sending waits for nothing.

import { problemOf } from '$lib/host';
import { m } from '$lib/i18n';
import { oneLineFor } from '$lib/ui';
import { addAttachment } from './calls';
import { freshId } from './ids';
import type { ChatAttachment } from './types';

export const MOST_FILES = 10;
export const PICTURE_BYTES = 10 * 1024 * 1024;
export const TEXT_BYTES = 1024 * 1024;
/** Larger pictures are made smaller: no model looks closer. Pixels. */
const LONGEST_SIDE = 2048;

export interface Picked {
	key: string;
	name: string;
	size: number;
	picture: boolean;
	preview?: string;
	kept?: ChatAttachment;
	problem?: string;
}

export class PickedFiles {
	all = $state.raw<readonly Picked[]>([]);
	readonly pending = $derived(this.all.some((file) => !file.kept && !file.problem));
	readonly kept = $derived(this.all.flatMap((file) => file.kept ?? []));

	add(files: Iterable<File>): void {
		for (const file of files) {
			if (this.all.length >= MOST_FILES) return;
			const picture = file.type.startsWith('image/') && file.type !== 'image/svg+xml';
			const one: Picked = {
				key: freshId(),
				name: file.name || (picture ? m.chat_file_pasted_picture() : m.chat_file_pasted_text()),
				size: file.size,
				picture,
				preview: picture ? URL.createObjectURL(file) : undefined
			};
			this.all = [...this.all, one];
			void this.#upload(one, file);
		}
	}

	/** Files that the server has already: of a question that is edited or was not sent. */
	put(files: readonly ChatAttachment[]): void {
		this.all = files.map((kept) => ({
			key: kept.id,
			name: kept.name,
			size: kept.size,
			picture: kept.media_type.startsWith('image/'),
			kept
		}));
	}

	remove(key: string): void {
		const gone = this.all.find((file) => file.key === key);
		if (gone?.preview) URL.revokeObjectURL(gone.preview);
		this.all = this.all.filter((file) => file.key !== key);
	}

	clear(): void {
		for (const { preview } of this.all) if (preview) URL.revokeObjectURL(preview);
		this.all = [];
	}

	async #upload(one: Picked, file: File): Promise<void> {
		try {
			const content = one.picture ? await smaller(file) : file;
			const limit = one.picture ? PICTURE_BYTES : TEXT_BYTES;
			if (content.size > limit) {
				this.#change(one.key, { problem: m.chat_file_too_large() });
				return;
			}
			this.#change(one.key, { kept: await addAttachment(content, one.name) });
		} catch (thrown) {
			const wrong = problemOf(thrown).code === 'invalid_request';
			this.#change(one.key, { problem: wrong ? m.chat_file_unknown() : oneLineFor(thrown) });
		}
	}

	#change(key: string, change: Partial<Picked>): void {
		this.all = this.all.map((file) => (file.key === key ? { ...file, ...change } : file));
	}
}

/** A photo of a phone's camera in a size that models take. What cannot be read goes as it is. */
async function smaller(file: File): Promise<Blob> {
	if (file.type === 'image/gif') return file;
	try {
		const bitmap = await createImageBitmap(file);
		const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
		if (scale === 1 && file.size < PICTURE_BYTES / 4) return file;
		const canvas = new OffscreenCanvas(
			Math.max(1, Math.round(bitmap.width * scale)),
			Math.max(1, Math.round(bitmap.height * scale))
		);
		canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
		bitmap.close();
		const kind = file.type === 'image/png' ? 'image/png' : 'image/jpeg';
		const made = await canvas.convertToBlob({ type: kind, quality: 0.88 });
		return made.size < file.size ? made : file;
	} catch {
		return file;
	}
}
