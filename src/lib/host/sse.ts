// Reads server-sent events out of a byte stream, as the HTML standard describes the format. No network here.

export interface StreamMessage {
	event: string;
	data: string;
	/** The last id the stream named, carried on as the standard says. */
	id: string;
}

export class SseParser {
	#rest = '';
	#event = '';
	#data: string[] = [];
	#id: string;
	#decoder = new TextDecoder();
	#lastWasCr = false;

	constructor(
		lastEventId: string,
		private readonly emit: (message: StreamMessage) => void,
		private readonly retry: (ms: number) => void = () => {}
	) {
		this.#id = lastEventId;
	}

	push(bytes: Uint8Array): void {
		let text = this.#decoder.decode(bytes, { stream: true });
		if (text === '') return;
		// A CR and LF that were cut apart are one line end.
		if (this.#lastWasCr && text.startsWith('\n')) text = text.slice(1);
		this.#lastWasCr = text.endsWith('\r');
		const all = this.#rest + text;
		// Foreman's own streams end lines one way, and a plain split of thousands a second is several times as fast.
		const lines = all.includes('\r') ? all.split(/\r\n|\r|\n/) : all.split('\n');
		this.#rest = lines.pop() ?? '';
		for (const line of lines) this.#line(line);
	}

	#line(line: string): void {
		if (line === '') return this.#dispatch();
		const colon = line.indexOf(':');
		if (colon === 0) return;
		const field = colon < 0 ? line : line.slice(0, colon);
		let value = colon < 0 ? '' : line.slice(colon + 1);
		if (value.startsWith(' ')) value = value.slice(1);
		if (field === 'event') this.#event = value;
		else if (field === 'data') this.#data.push(value);
		else if (field === 'id' && !value.includes('\0')) this.#id = value;
		else if (field === 'retry' && /^\d+$/.test(value)) this.retry(Number(value));
	}

	#dispatch(): void {
		const data = this.#data;
		const event = this.#event || 'message';
		this.#data = [];
		this.#event = '';
		if (data.length > 0) this.emit({ event, data: data.join('\n'), id: this.#id });
	}
}
