// A call whose answer is a stream of events: made once, followed to its end, and never repeated by itself.

import { problemFrom, problemOf } from './problem';
import { SseParser, type StreamMessage } from './sse';
import { send } from './transport';

export interface AttendOptions {
	/** Sent as JSON. */
	json?: unknown;
	message: (message: StreamMessage) => void;
	/** Aborted, nobody listens any more. */
	signal: AbortSignal;
}

/** Resolves at the end of the stream. Throws a ProblemError, or what the signal was aborted with. */
export async function attend(path: string, { json, message, signal }: AttendOptions): Promise<void> {
	try {
		const response = await send(path, {
			method: 'POST',
			headers: { Accept: 'text/event-stream', 'Content-Type': 'application/json' },
			body: JSON.stringify(json ?? {}),
			credentials: 'same-origin',
			cache: 'no-store',
			signal
		});
		if (!response.ok || !response.body) {
			throw problemFrom(response.status, await response.json().catch(() => undefined));
		}
		const parser = new SseParser('', message);
		const reader = response.body.getReader();
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return;
			parser.push(value);
		}
	} catch (thrown) {
		if (signal.aborted) throw thrown;
		throw problemOf(thrown);
	}
}
