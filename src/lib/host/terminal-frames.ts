// The frames of an attached terminal, byte for byte as the protocol has them: one binary message is one frame,
// numbers are big-endian. No network here.

import type { TerminalEnded, TerminalState } from '$lib/api/types';

/** What a viewer sends. */
export type SentFrame =
	/** What was typed; `offset` counts this writer's bytes. */
	| { kind: 'input'; offset: number; data: Uint8Array }
	/** The writer's window. */
	| { kind: 'resize'; cols: number; rows: number };

/** What the device sends. */
export type ReceivedFrame =
	/** What was printed, from this byte on. */
	| { kind: 'output'; offset: number; data: Uint8Array }
	/** First of all, and whenever it changes. */
	| { kind: 'state'; state: TerminalState }
	/** Output before `start` is gone. */
	| { kind: 'gap'; start: number }
	/** Everything this writer sent before this byte was typed. */
	| { kind: 'accepted'; received: number }
	/** Last of all. */
	| { kind: 'ended'; ended: TerminalEnded };

const INPUT = 0;
const RESIZE = 1;
const OUTPUT = 0x80;
const STATE = 0x81;
const GAP = 0x82;
const INPUT_ACCEPTED = 0x83;
const ENDED = 0x84;

export function encodeFrame(frame: SentFrame): Uint8Array<ArrayBuffer> {
	if (frame.kind === 'resize') {
		const bytes = new Uint8Array(5);
		const view = new DataView(bytes.buffer);
		view.setUint8(0, RESIZE);
		view.setUint16(1, frame.cols);
		view.setUint16(3, frame.rows);
		return bytes;
	}
	const bytes = new Uint8Array(9 + frame.data.length);
	bytes[0] = INPUT;
	new DataView(bytes.buffer).setBigUint64(1, BigInt(frame.offset));
	bytes.set(frame.data, 9);
	return bytes;
}

/** `undefined` for what is no frame, or one that a newer device sends. */
export function decodeFrame(bytes: Uint8Array): ReceivedFrame | undefined {
	switch (bytes[0]) {
		case OUTPUT: {
			const offset = numberIn(bytes);
			return offset === undefined ? undefined : { kind: 'output', offset, data: bytes.subarray(9) };
		}
		case GAP: {
			const start = bytes.length === 9 ? numberIn(bytes) : undefined;
			return start === undefined ? undefined : { kind: 'gap', start };
		}
		case INPUT_ACCEPTED: {
			const received = bytes.length === 9 ? numberIn(bytes) : undefined;
			return received === undefined ? undefined : { kind: 'accepted', received };
		}
		case STATE: {
			const state = jsonIn<TerminalState>(bytes);
			return state && { kind: 'state', state };
		}
		case ENDED: {
			const ended = jsonIn<TerminalEnded>(bytes);
			return ended && { kind: 'ended', ended };
		}
		default:
			return undefined;
	}
}

/** Offsets beyond 2^53 would be nine petabytes of output. */
function numberIn(bytes: Uint8Array): number | undefined {
	if (bytes.length < 9) return undefined;
	const number = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(1));
	return Number.isSafeInteger(number) ? number : undefined;
}

function jsonIn<T>(bytes: Uint8Array): T | undefined {
	try {
		return JSON.parse(new TextDecoder().decode(bytes.subarray(1))) as T;
	} catch {
		return undefined;
	}
}
