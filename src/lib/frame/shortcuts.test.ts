import { describe, expect, it } from 'vitest';
import { Shortcuts } from './shortcuts';

const key = (key: string, held: Partial<{ ctrlKey: boolean; metaKey: boolean; altKey: boolean }> = {}) => ({
	key,
	ctrlKey: false,
	metaKey: false,
	altKey: false,
	...held
});

describe('shortcuts', () => {
	it('opens the palette even while typing', () => {
		const shortcuts = new Shortcuts();
		expect(shortcuts.press(key('k', { ctrlKey: true }), true, 0)).toEqual({ do: 'palette' });
		expect(shortcuts.press(key('K', { metaKey: true }), false, 0)).toEqual({ do: 'palette' });
		expect(shortcuts.press(key('k'), false, 0)).toBeUndefined();
	});

	it('leaves letters in fields alone', () => {
		const shortcuts = new Shortcuts();
		for (const letter of ['?', '/', 'n', 'g']) expect(shortcuts.press(key(letter), true, 0)).toBeUndefined();
	});

	it('takes two keys soon after each other as one', () => {
		const shortcuts = new Shortcuts();
		shortcuts.press(key('g'), false, 0);
		expect(shortcuts.press(key('d'), false, 800)).toEqual({ do: 'go', href: '/devices' });
		expect(shortcuts.press(key('d'), false, 900)).toBeUndefined();
	});

	it('forgets the first key after a while', () => {
		const shortcuts = new Shortcuts();
		shortcuts.press(key('g'), false, 0);
		expect(shortcuts.press(key('d'), false, 2000)).toBeUndefined();
	});

	it('leaves the browser its own combinations', () => {
		const shortcuts = new Shortcuts();
		expect(shortcuts.press(key('n', { ctrlKey: true }), false, 0)).toBeUndefined();
		expect(shortcuts.press(key('k', { ctrlKey: true, altKey: true }), false, 0)).toBeUndefined();
	});
});
