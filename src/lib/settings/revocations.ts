/**
 * Revoking with a way back: the token vanishes at once and is revoked a few seconds later, unless somebody changes their
 * mind. When the server says no, it comes back.
 */

/** As long as the notice with "Undo" stays. */
export const UNDO_MS = 9_000;

export class Revocations<Token extends { id: string }> {
	#waiting = new Map<string, { token: Token; timer: ReturnType<typeof setTimeout> }>();
	#gone = new Set<string>();

	constructor(
		private readonly revoke: (id: string) => Promise<unknown>,
		/** Told which tokens not to show, whenever that changes. */
		private readonly changed: (gone: ReadonlySet<string>) => void,
		private readonly failed: (token: Token, thrown: unknown) => void
	) {}

	add(token: Token): void {
		if (this.#gone.has(token.id)) return;
		this.#gone.add(token.id);
		this.#waiting.set(token.id, { token, timer: setTimeout(() => void this.#send(token.id), UNDO_MS) });
		this.#tell();
	}

	/** Too late once it was sent. */
	undo(id: string): void {
		const waiting = this.#waiting.get(id);
		if (!waiting) return;
		clearTimeout(waiting.timer);
		this.#waiting.delete(id);
		this.#gone.delete(id);
		this.#tell();
	}

	/** Sends everything that waits. */
	flush(): void {
		for (const id of [...this.#waiting.keys()]) void this.#send(id);
	}

	async #send(id: string): Promise<void> {
		const waiting = this.#waiting.get(id);
		if (!waiting) return;
		clearTimeout(waiting.timer);
		this.#waiting.delete(id);
		try {
			await this.revoke(id);
		} catch (thrown) {
			this.#gone.delete(id);
			this.#tell();
			this.failed(waiting.token, thrown);
		}
	}

	#tell(): void {
		this.changed(new Set(this.#gone));
	}
}
