import { describe, expect, it } from 'vitest';
import { SseParser, type StreamMessage } from './sse';

/** The messages of a text that arrives cut into pieces of `size` bytes. */
function parse(text: string, size = Infinity, lastEventId = ''): StreamMessage[] {
	const messages: StreamMessage[] = [];
	const parser = new SseParser(lastEventId, (message) => messages.push(message));
	const bytes = new TextEncoder().encode(text);
	const step = Math.min(size, bytes.length || 1);
	for (let at = 0; at < bytes.length; at += step) parser.push(bytes.subarray(at, at + step));
	return messages;
}

describe('server-sent events', () => {
	it('reads names, ids and data of several lines', () => {
		expect(parse('event: sample\nid: 7\ndata: {"a":\ndata: 1}\n\n')).toEqual([
			{ event: 'sample', id: '7', data: '{"a":\n1}' }
		]);
	});

	it('reads the same however the bytes are cut, also inside characters and line ends', () => {
		const text = ': hello\r\nevent: e\r\nid: 1\r\ndata: Gerät 🤖\r\n\r\ndata:second\n\ndata\n\n';
		const whole = parse(text);
		expect(whole.map(({ data }) => data)).toEqual(['Gerät 🤖', 'second', '']);
		for (let size = 1; size < 12; size++) expect(parse(text, size), `pieces of ${size}`).toEqual(whole);
	});

	it('carries the last id on, starting with the one it was given', () => {
		expect(parse('data: a\n\nid: 5\ndata: b\n\ndata: c\n\n', 3, '4').map(({ id }) => id)).toEqual([
			'4',
			'5',
			'5'
		]);
	});

	it('says nothing without data, and nothing before the empty line', () => {
		expect(parse('event: e\n\nid: 3\n\ndata: unfinished\n')).toEqual([]);
	});

	it('takes one space after the colon away, and no more', () => {
		expect(parse('data:  two\n\ndata:none\n\n').map(({ data }) => data)).toEqual([' two', 'none']);
	});
});
