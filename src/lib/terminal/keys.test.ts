import { describe, expect, it } from 'vitest';
import { isAnswer, keyText, NO_MODIFIERS, withModifiers } from './keys';

const ctrl = { ctrl: true, alt: false };
const alt = { ctrl: false, alt: true };
const both = { ctrl: true, alt: true };

describe('keys of a terminal', () => {
	it('sends the bar’s keys', () => {
		expect(keyText('escape', NO_MODIFIERS, false)).toBe('\x1b');
		expect(keyText('tab', NO_MODIFIERS, false)).toBe('\t');
		expect(keyText('up', NO_MODIFIERS, false)).toBe('\x1b[A');
		expect(keyText('page-down', NO_MODIFIERS, false)).toBe('\x1b[6~');
	});

	it('sends the arrows that the program asked for', () => {
		expect(keyText('left', NO_MODIFIERS, true)).toBe('\x1bOD');
		expect(keyText('left', ctrl, true)).toBe('\x1b[1;5D');
		expect(keyText('right', alt, false)).toBe('\x1b[1;3C');
		expect(keyText('page-up', both, false)).toBe('\x1b[5;7~');
	});

	it('holds Ctrl for a letter and for the signs that have one', () => {
		expect(withModifiers('c', ctrl)).toBe('\x03');
		expect(withModifiers('C', ctrl)).toBe('\x03');
		expect(withModifiers('[', ctrl)).toBe('\x1b');
		expect(withModifiers(' ', ctrl)).toBe('\0');
		expect(withModifiers('1', ctrl)).toBe('1');
	});

	it('holds Alt, and both', () => {
		expect(withModifiers('b', alt)).toBe('\x1bb');
		expect(withModifiers('b', both)).toBe('\x1b\x02');
		expect(withModifiers('ab', ctrl)).toBe('\x01b');
		expect(withModifiers('', both)).toBe('');
		expect(withModifiers('x', NO_MODIFIERS)).toBe('x');
	});

	it('tells answers from keys', () => {
		for (const answer of [
			'\x1b[?1;2c',
			'\x1b[>0;276;0c',
			'\x1b[24;80R',
			'\x1b]10;rgb:0/0/0\x1b\\',
			'\x1b[0n'
		])
			expect(isAnswer(answer), JSON.stringify(answer)).toBe(true);
		for (const key of ['\x1b[A', '\x1bOD', '\x1b[1;5D', '\x1b[5~', 'c', '\x1b', '\x1b[200~paste'])
			expect(isAnswer(key), JSON.stringify(key)).toBe(false);
	});
});
