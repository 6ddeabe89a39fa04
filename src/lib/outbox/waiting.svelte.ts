// Changes that wait for their server. In the app they are kept by the program and sent in order, each once; a browser
// keeps none, and what cannot be sent there fails at once.

import { app, inApp, ProblemError, problemOf, type Aside } from '$lib/host';
import { freshId } from '$lib/chat/ids';
import { isLabel, type Label } from './labels';

export interface Waits {
	place: number;
	/** When it was made, by this device's clock. */
	at: number;
	about: string;
	label: Label;
	/** The server said no: it waits for a person. */
	refused?: ProblemError;
	/** An earlier change of the same thing was refused: this one waits for what becomes of that. */
	behind: boolean;
}

export interface Change {
	/** By which the server knows it again. */
	key: string;
	method: 'PATCH' | 'POST';
	path: string;
	body: unknown;
	/** What it changes: changes of one thing depend on each other. */
	about: string;
	label: Label;
}

class Waiting {
	all = $state.raw<readonly Waits[]>([]);
	readonly refused = $derived(this.all.filter((one) => one.refused));

	/** Sealed with the keys of a keychain that a file took the place of; nothing where there is none. */
	aside = $state.raw<Aside>();

	#stop: (() => void) | undefined;

	/** Follows what waits, as long as somebody looks. */
	watch(): () => void {
		if (!inApp) return () => {};
		this.#stop?.();
		const stop = app().outbox.watch((told) => {
			const stuck = new Set<string>();
			this.all = told.flatMap(({ place, at, about, label, refused }) => {
				const behind = stuck.has(about);
				if (refused) stuck.add(about);
				if (!isLabel(label)) return [];
				const problem = refused
					? new ProblemError(refused.code as ProblemError['code'], refused.message, refused.status)
					: undefined;
				return [{ place, at, about, label, refused: problem, behind }];
			});
		});
		this.#stop = stop;
		// A keychain that does not open is told of elsewhere.
		app()
			.outbox.aside()
			.then(
				(aside) => this.#setAside(aside),
				() => {}
			);
		return stop;
	}

	#setAside(aside: Aside): void {
		this.aside = aside.changes + aside.drafts > 0 ? aside : undefined;
	}

	/** Opens what is aside with the keychain. False: not all of it was opened. */
	async takeIn(): Promise<boolean> {
		this.#setAside(await app().outbox.takeInAside());
		return this.aside === undefined;
	}

	async dropAside(): Promise<void> {
		await app().outbox.dropAside();
		this.aside = undefined;
	}

	has(about: string): boolean {
		return this.all.some((one) => one.about === about);
	}

	/** The newest change of a thing that may still be made. */
	newest(about: string): Label | undefined {
		return this.all.findLast((one) => one.about === about && !one.refused)?.label;
	}

	async add(change: Change): Promise<void> {
		await app().outbox.add({ ...change, body: JSON.stringify(change.body) });
	}

	drop(place: number): Promise<void> {
		return app().outbox.drop(place);
	}

	retry(place: number): Promise<void> {
		return app().outbox.retry(place);
	}
}

export const waiting = new Waiting();

/** Nobody answered, or only what stands before the server. */
export function isAway(problem: ProblemError): boolean {
	return problem.code === 'unreachable' || problem.code === 'unavailable';
}

/**
 * Makes a change now; in the app, where the server is away or an earlier change of the same thing waits, as soon as it
 * can be made. Resolves with the answer, or with nothing for a change that waits. Throws what the server refuses.
 */
export async function nowOrLater<T>(
	change: Omit<Change, 'key'>,
	send: (headers: Record<string, string>) => Promise<T>
): Promise<T | undefined> {
	const key = freshId();
	if (inApp && waiting.has(change.about)) {
		await waiting.add({ ...change, key });
		return undefined;
	}
	try {
		return await send({ 'Idempotency-Key': key });
	} catch (thrown) {
		const problem = problemOf(thrown);
		if (!inApp || !isAway(problem)) throw problem;
		// With the same key: the answer may have been lost and not the change.
		await waiting.add({ ...change, key });
		return undefined;
	}
}
