// What a change is, in the reader's language. Kept with it, so that it can be shown while the server is away.

import { m } from '$lib/i18n';

export type Label =
	| { kind: 'rename-device'; was: string; name: string }
	| { kind: 'rename-chat'; was: string; name: string }
	| { kind: 'start-task'; device: string; command: string };

export function isLabel(label: unknown): label is Label {
	return (
		typeof label === 'object' &&
		label !== null &&
		['rename-device', 'rename-chat', 'start-task'].includes((label as Label).kind)
	);
}

export function wordsOf(label: Label): { what: string; detail: string } {
	switch (label.kind) {
		case 'rename-device':
			return { what: m.waiting_rename_device({ name: label.was }), detail: label.name };
		case 'rename-chat':
			return {
				what: label.was ? m.waiting_rename_chat({ name: label.was }) : m.waiting_name_chat(),
				detail: label.name
			};
		case 'start-task':
			return { what: m.waiting_start_task({ device: label.device }), detail: label.command };
	}
}
