// What a vendor's program says of itself on a device: whether somebody is signed in there.

import type { TerminalEnded } from '$lib/api/types';
import { device } from '$lib/host';
import { endTerminal, openTerminal } from '$lib/terminal/calls';

/** It is asked over a network, and starts there. */
const PATIENCE_MS = 30_000;
/** What is read of it, characters. */
const MOST = 64 * 1024;
/** So wide that no line is broken. */
const COLS = 1_000;
const LONGEST_NAME = 200;

export interface DeviceStatus {
	signedIn: boolean;
	/** Whose account it is. */
	who?: string;
}

/**
 * Reads what `claude auth status --json` and its like print: an object with `loggedIn` and perhaps `email`; they end
 * with 0 where somebody is signed in, and with 1 where nobody is. Nothing where they say neither.
 */
export function statusOf(printed: string, exitCode: number | undefined): DeviceStatus | undefined {
	let said: unknown;
	try {
		said = JSON.parse(printed.slice(printed.indexOf('{'), printed.lastIndexOf('}') + 1));
	} catch {
		return undefined;
	}
	if (typeof said !== 'object' || said === null) return undefined;
	const { loggedIn, email } = said as { loggedIn?: unknown; email?: unknown };
	const known = typeof loggedIn === 'boolean' ? loggedIn : { 0: true, 1: false }[exitCode ?? -1];
	if (known === undefined) return undefined;
	return known && typeof email === 'string' && email.length <= LONGEST_NAME
		? { signedIn: known, who: email }
		: { signedIn: known };
}

/** Asks the program on a device; nothing where it says nothing of it, or takes too long. */
export async function askStatus(
	id: string,
	command: string[],
	name: string
): Promise<DeviceStatus | undefined> {
	const terminal = await openTerminal(id, { command, name, cols: COLS });
	try {
		const heard = await heardOut(id, terminal.id);
		return heard && statusOf(heard.printed, heard.ended.exit_code ?? undefined);
	} finally {
		// It has shown all that it had to, and is nobody's to look at.
		await endTerminal(id, terminal.id).catch(() => undefined);
	}
}

function heardOut(
	id: string,
	terminal: string
): Promise<{ printed: string; ended: TerminalEnded } | undefined> {
	const decoder = new TextDecoder();
	let printed = '';
	let over = () => {};
	return new Promise<{ printed: string; ended: TerminalEnded } | undefined>((resolve, reject) => {
		const door = device(id).attach(terminal, {
			output: (data) => {
				if (printed.length < MOST) printed += decoder.decode(data, { stream: true });
			},
			gap: () => undefined,
			state: () => undefined,
			ended: (ended) => resolve({ printed, ended }),
			link: (state) => {
				if (state.kind === 'ended' && state.problem) reject(state.problem);
			}
		});
		const late = setTimeout(() => resolve(undefined), PATIENCE_MS);
		over = () => {
			clearTimeout(late);
			door.close();
		};
	}).finally(() => over());
}
