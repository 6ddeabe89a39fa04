// Keys that work anywhere, and how a key press becomes one of them. No DOM here beyond the event.

import { m } from '$lib/i18n';

export type Shortcut =
	{ do: 'palette' } | { do: 'sheet' } | { do: 'search' } | { do: 'add-device' } | { do: 'go'; href: string };

interface KeyPress {
	key: string;
	ctrlKey: boolean;
	metaKey: boolean;
	altKey: boolean;
}

/** Two keys belong together when the second comes within this time. */
const CHORD_MS = 1500;

const GO: Record<string, string> = {
	h: '/',
	d: '/devices',
	w: '/work',
	m: '/models',
	a: '/activity',
	s: '/settings'
};

export class Shortcuts {
	#goUntil = 0;

	/** What a key press asks for; `typing` says that it goes into a field. */
	press(event: KeyPress, typing: boolean, now: number): Shortcut | undefined {
		if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k')
			return { do: 'palette' };
		if (typing || event.ctrlKey || event.metaKey || event.altKey) return undefined;
		if (now < this.#goUntil) {
			this.#goUntil = 0;
			const href = GO[event.key];
			if (href) return { do: 'go', href };
		}
		switch (event.key) {
			case 'g':
				this.#goUntil = now + CHORD_MS;
				return undefined;
			case '?':
				return { do: 'sheet' };
			case '/':
				return { do: 'search' };
			case 'n':
				return { do: 'add-device' };
			default:
				return undefined;
		}
	}
}

/** Where a key press is text and not a command. */
export function isTyping(target: EventTarget | null): boolean {
	return (
		target instanceof HTMLElement &&
		(target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
		!(target instanceof HTMLInputElement && /^(checkbox|radio|button)$/.test(target.type))
	);
}

/** What the sheet shows. */
export function sheet(apple: boolean): { keys: string[]; then?: boolean; what: string }[] {
	return [
		{ keys: [apple ? '⌘' : 'Ctrl', 'K'], what: m.shortcut_palette() },
		{ keys: ['/'], what: m.shortcut_search() },
		{ keys: ['n'], what: m.shortcut_add_device() },
		{ keys: ['g', 'h'], then: true, what: m.shortcut_home() },
		{ keys: ['g', 'd'], then: true, what: m.shortcut_devices() },
		{ keys: ['g', 'w'], then: true, what: m.shortcut_work() },
		{ keys: ['g', 'm'], then: true, what: m.shortcut_models() },
		{ keys: ['g', 'a'], then: true, what: m.shortcut_activity() },
		{ keys: ['g', 's'], then: true, what: m.shortcut_settings() },
		{ keys: ['?'], what: m.shortcut_sheet() },
		{ keys: ['Ctrl', 'Shift', 'C'], what: m.shortcut_terminal_copy() },
		{ keys: ['Ctrl', 'Shift', 'V'], what: m.shortcut_terminal_paste() },
		{ keys: ['Ctrl', 'Shift', 'F'], what: m.shortcut_terminal_find() },
		{ keys: ['Ctrl', 'Shift', '← →'], what: m.shortcut_terminal_pane() },
		{ keys: ['Ctrl', 'Shift', 'X'], what: m.shortcut_terminal_leave() }
	];
}
