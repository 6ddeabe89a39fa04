// What can be done to one file or folder, in its menu.

import Copy from '@lucide/svelte/icons/copy';
import Download from '@lucide/svelte/icons/download';
import FolderInput from '@lucide/svelte/icons/folder-input';
import Pencil from '@lucide/svelte/icons/pencil';
import Trash2 from '@lucide/svelte/icons/trash-2';
import type { FileEntry } from '$lib/api/types';
import { native } from '$lib/host';
import { m } from '$lib/i18n';
import { download as save } from '$lib/saves';
import { oneLineFor, toasts, type MenuItem } from '$lib/ui';
import { contentHref, restore, trash } from './calls';
import { isFolder } from './order';

export class FileActions {
	/** A name or a path is asked for. */
	asked = $state.raw<{ what: 'rename' | 'move'; entry: FileEntry }>();

	constructor(
		private readonly device: string,
		private readonly changed: () => void
	) {}

	/** What changes nothing. */
	reading(entry: FileEntry): MenuItem[] {
		const file = !isFolder(entry) && entry.kind !== 'other';
		return [
			...(file
				? [{ label: m.files_download(), icon: Download, onselect: () => download(this.device, entry.path) }]
				: []),
			{ label: m.files_copy_path(), icon: Copy, onselect: () => void copyPath(entry.path) }
		];
	}

	/** `why` they may not change anything, where that is so. */
	menu(entry: FileEntry, why: string | undefined): MenuItem[] {
		return [
			...this.reading(entry),
			{
				label: m.device_page_rename(),
				icon: Pencil,
				unavailable: why,
				onselect: () => (this.asked = { what: 'rename', entry })
			},
			{
				label: m.files_move(),
				icon: FolderInput,
				unavailable: why,
				onselect: () => (this.asked = { what: 'move', entry })
			},
			{
				label: m.files_trash(),
				icon: Trash2,
				danger: true,
				unavailable: why,
				onselect: () => void this.#trash(entry)
			}
		];
	}

	async #trash(entry: FileEntry): Promise<void> {
		try {
			const trashed = await trash(this.device, entry.path);
			this.changed();
			toasts.show({
				text: m.files_trashed({ name: entry.name }),
				action: { label: m.undo(), run: () => void this.#restore(trashed.id) }
			});
		} catch (thrown) {
			toasts.show({
				text: `${m.files_trash_failed({ name: entry.name })} ${oneLineFor(thrown)}`,
				tone: 'failed'
			});
		}
	}

	async #restore(id: string): Promise<void> {
		try {
			await restore(this.device, id);
			this.changed();
		} catch (thrown) {
			toasts.show({ text: oneLineFor(thrown), tone: 'failed' });
		}
	}
}

export function download(device: string, path: string): void {
	save(contentHref(device, path, true));
}

export async function copyPath(path: string): Promise<void> {
	const done = await native.copy(path);
	toasts.show({ text: done ? m.files_path_copied() : m.output_copy_failed() });
}
