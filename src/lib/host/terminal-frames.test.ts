import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame } from './terminal-frames';

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (kind: number, json: unknown) =>
	Uint8Array.from([kind, ...new TextEncoder().encode(JSON.stringify(json))]);

describe('frames of a terminal', () => {
	it('writes what was typed with its offset, big-endian', () => {
		expect([...encodeFrame({ kind: 'input', offset: 258, data: bytes(104, 105) })]).toEqual([
			0, 0, 0, 0, 0, 0, 0, 1, 2, 104, 105
		]);
	});

	it('writes a window', () => {
		expect([...encodeFrame({ kind: 'resize', cols: 300, rows: 40 })]).toEqual([1, 1, 44, 0, 40]);
	});

	it('reads output, gaps, what was accepted, states and endings', () => {
		expect(decodeFrame(bytes(0x80, 0, 0, 0, 0, 0, 0, 1, 0, 65))).toEqual({
			kind: 'output',
			offset: 256,
			data: bytes(65)
		});
		expect(decodeFrame(bytes(0x82, 0, 0, 0, 0, 0, 0, 0, 7))).toEqual({ kind: 'gap', start: 7 });
		expect(decodeFrame(bytes(0x83, 0, 0, 0, 0, 0, 0, 0, 9))).toEqual({ kind: 'accepted', received: 9 });
		expect(decodeFrame(text(0x84, { at: 1, exit_code: 3 }))).toEqual({
			kind: 'ended',
			ended: { at: 1, exit_code: 3 }
		});
		expect(decodeFrame(text(0x81, { may_write: true, input_received: 4 }))).toMatchObject({
			kind: 'state',
			state: { may_write: true, input_received: 4 }
		});
	});

	it('reads output wherever it lies in a larger buffer', () => {
		const larger = bytes(9, 9, 0x80, 0, 0, 0, 0, 0, 0, 0, 5, 66);
		expect(decodeFrame(larger.subarray(2))).toEqual({ kind: 'output', offset: 5, data: bytes(66) });
	});

	it('takes any bytes without throwing', () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 40 }), (any) => {
				decodeFrame(any);
			})
		);
	});
});
