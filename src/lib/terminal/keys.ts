// What keys send to a terminal: the key bar of phones, and modifiers that stay down for one key. Pure.

export interface Modifiers {
	ctrl: boolean;
	alt: boolean;
}

export const NO_MODIFIERS: Modifiers = { ctrl: false, alt: false };

export type BarKey =
	'escape' | 'tab' | 'up' | 'down' | 'left' | 'right' | 'home' | 'end' | 'page-up' | 'page-down';

const ESC = '\x1b';
const FINAL = { up: 'A', down: 'B', right: 'C', left: 'D', end: 'F', home: 'H' } as const;

/** The bytes of a key of the bar. `application`: the program asked for the other kind of arrows. */
export function keyText(key: BarKey, { ctrl, alt }: Modifiers, application: boolean): string {
	if (key === 'escape') return alt ? ESC + ESC : ESC;
	if (key === 'tab') return alt ? `${ESC}\t` : '\t';
	// As xterm numbers them: 1, plus 2 for Alt, plus 4 for Ctrl.
	const modifier = 1 + (alt ? 2 : 0) + (ctrl ? 4 : 0);
	if (key === 'page-up' || key === 'page-down') {
		const number = key === 'page-up' ? 5 : 6;
		return modifier === 1 ? `${ESC}[${number}~` : `${ESC}[${number};${modifier}~`;
	}
	if (modifier !== 1) return `${ESC}[1;${modifier}${FINAL[key]}`;
	return `${ESC}${application ? 'O' : '['}${FINAL[key]}`;
}

/** What was typed with modifiers held; only the first character takes them. */
export function withModifiers(text: string, { ctrl, alt }: Modifiers): string {
	if ((!ctrl && !alt) || text === '') return text;
	const [first = '', ...rest] = text;
	const held = ctrl ? control(first) : first;
	return (alt ? ESC : '') + held + rest.join('');
}

/** Ctrl with a character, as terminals have it since the VT100. */
function control(character: string): string {
	const code = character.toUpperCase().charCodeAt(0);
	if (code >= 0x40 && code <= 0x5f) return String.fromCharCode(code & 0x1f);
	if (character === ' ' || character === '2') return '\0';
	if (character === '?' || character === '8') return '\x7f';
	if (character === '/') return '\x1f';
	return character;
}

/** An answer of the terminal to a question of the program, and no key. */
export function isAnswer(data: string): boolean {
	return (
		// Device attributes, position, status, modes.
		// eslint-disable-next-line no-control-regex
		/^\x1b\[[?>=]?[\d;]*(?:c|n|R|\$y|t)/.test(data) ||
		// Colours, and answers as strings.
		data.startsWith('\x1b]') ||
		data.startsWith('\x1bP')
	);
}
