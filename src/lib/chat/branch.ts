// One branch of a conversation as it is shown: messages from the first that is loaded down to the last.

import type { Message } from './types';

/** A page from the server, which goes upwards, put before what is there. */
export function withEarlier(shown: readonly Message[], page: readonly Message[]): Message[] {
	const known = new Set(shown.map((message) => message.id));
	const earlier = page.filter((message) => !known.has(message.id)).reverse();
	return [...earlier, ...shown];
}

/** A branch by the last page of it: what was loaded before stays when it is of the same branch; else nothing does. */
export function withEnd(shown: readonly Message[], page: readonly Message[]): Message[] {
	const first = page.at(-1)?.id;
	const at = shown.findIndex((message) => message.id === first);
	return withEarlier([], [...page, ...shown.slice(0, Math.max(0, at)).reverse()]);
}

/** A message in its newest form: in its place, or after its parent, where the branch then ends. */
export function withMessage(shown: readonly Message[], message: Message): Message[] {
	const at = shown.findIndex((one) => one.id === message.id);
	if (at >= 0) return shown.map((one, index) => (index === at ? message : one));
	if (message.parent == null) return [message];
	const parent = shown.findIndex((one) => one.id === message.parent);
	return parent < 0 ? [...shown] : [...shown.slice(0, parent + 1), message];
}

/** More of an answer. Offsets count bytes; a piece that is there already or leaves a hole changes nothing. */
export function withPiece(
	message: Message,
	have: number,
	piece: { offset: number; text: string }
): { message: Message; have: number } {
	if (piece.offset !== have) return { message, have };
	return {
		message: { ...message, text: message.text + piece.text, thinking: false },
		have: have + byteLength(piece.text)
	};
}

const encoder = new TextEncoder();

export function byteLength(text: string): number {
	return encoder.encode(text).length;
}

/** Which of its versions a message is, from 1; nothing for an only one. */
export function versionOf(message: Message): { at: number; of: number } | undefined {
	const versions = message.versions ?? [];
	const at = versions.indexOf(message.id);
	return versions.length > 1 && at >= 0 ? { at: at + 1, of: versions.length } : undefined;
}

/** The version before or after, when there is one. */
export function otherVersion(message: Message, step: 1 | -1): string | undefined {
	const versions = message.versions ?? [];
	const at = versions.indexOf(message.id);
	return at < 0 ? undefined : versions[at + step];
}
