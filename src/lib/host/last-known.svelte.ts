// Since when what is shown may be old: the app answers from what it kept when its server does not.

class LastKnown {
	/** When the newest of the kept answers was given, ms since epoch by this device's clock; nothing while answers are fresh. */
	at = $state<number>();

	/** Takes in one answer's header; none is a fresh answer. */
	note(header: string | null): void {
		const at = Number(header);
		if (header === null || !Number.isFinite(at)) this.at = undefined;
		else this.at = Math.max(at, this.at ?? 0);
	}
}

export const lastKnown = new LastKnown();

/** Where the app says when a kept answer was given. */
const HEADER = 'x-foreman-last-known';

/** Whether this answer is one that the app kept. */
export function isOld(response: Response): boolean {
	return response.headers.has(HEADER);
}
