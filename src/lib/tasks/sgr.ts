/**
 * SGR, the escape sequences that colour terminal output: from parameters to a style, from a style to CSS classes.
 *
 * Colours become the sixteen `--ansi-*` design tokens, so that output is readable in both themes and needs no inline
 * style (the content security policy forbids them). The 256-colour and 24-bit forms are mapped to the nearest of them.
 * Written here because the parsers at hand build HTML or need whole sequences, and output arrives cut anywhere.
 */

/** How a run of text looks. Colours are 0 to 15; absent means the theme's own. */
export interface Style {
	readonly fg?: number;
	readonly bg?: number;
	readonly bold?: boolean;
	readonly dim?: boolean;
	readonly italic?: boolean;
	readonly underline?: boolean;
	readonly inverse?: boolean;
	readonly hidden?: boolean;
	readonly strike?: boolean;
}

export const PLAIN: Style = {};

const SET: Record<number, Partial<Style>> = {
	1: { bold: true },
	2: { dim: true },
	3: { italic: true },
	4: { underline: true },
	7: { inverse: true },
	8: { hidden: true },
	9: { strike: true },
	21: { underline: true },
	22: { bold: undefined, dim: undefined },
	23: { italic: undefined },
	24: { underline: undefined },
	27: { inverse: undefined },
	28: { hidden: undefined },
	29: { strike: undefined },
	39: { fg: undefined },
	49: { bg: undefined }
};

/** The style after `ESC [ parameters m`. Unknown codes change nothing. */
export function applySgr(style: Style, parameters: string): Style {
	// `38:2::r:g:b` is the form of the standard, `38;2;r;g;b` the one everybody sends.
	const codes = parameters.replace(/(38|48):2::/g, '$1:2:').split(/[;:]/);
	let next: Style = style;
	for (let i = 0; i < codes.length; i += 1) {
		const code = codes[i] === '' ? 0 : Number(codes[i]);
		if (code === 0) next = PLAIN;
		else if (code in SET) next = { ...next, ...SET[code] };
		else if (code >= 30 && code <= 37) next = { ...next, fg: code - 30 };
		else if (code >= 40 && code <= 47) next = { ...next, bg: code - 40 };
		else if (code >= 90 && code <= 97) next = { ...next, fg: code - 82 };
		else if (code >= 100 && code <= 107) next = { ...next, bg: code - 92 };
		else if (code === 38 || code === 48) {
			const [colour, used] = extendedColour(codes.slice(i + 1));
			i += used;
			if (colour !== undefined) next = code === 38 ? { ...next, fg: colour } : { ...next, bg: colour };
		}
	}
	return next;
}

/** `5;n` or `2;r;g;b`: the nearest of the sixteen, and how many codes were read. */
function extendedColour(codes: string[]): [number | undefined, number] {
	if (codes[0] === '5') return [fromTable(Number(codes[1])), 2];
	if (codes[0] === '2') return [nearest(Number(codes[1]), Number(codes[2]), Number(codes[3])), 4];
	return [undefined, 0];
}

/** The 256-colour table: 16 named, a 6×6×6 cube, 24 greys. */
function fromTable(index: number): number | undefined {
	if (!(index >= 0 && index <= 255)) return undefined;
	if (index < 16) return index;
	if (index >= 232) {
		const grey = 8 + (index - 232) * 10;
		return nearest(grey, grey, grey);
	}
	const level = (step: number) => (step === 0 ? 0 : 55 + step * 40);
	const cube = index - 16;
	return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

/** By hue where there is one, else by lightness. */
function nearest(red: number, green: number, blue: number): number | undefined {
	if (![red, green, blue].every((part) => part >= 0 && part <= 255)) return undefined;
	const high = Math.max(red, green, blue);
	const low = Math.min(red, green, blue);
	const spread = high - low;
	if (spread < 40 || spread < high * 0.2) {
		const light = (high + low) / 2;
		return light < 48 ? 0 : light < 140 ? 8 : light < 210 ? 7 : 15;
	}
	let hue: number;
	if (high === red) hue = ((green - blue) / spread + 6) % 6;
	else if (high === green) hue = (blue - red) / spread + 2;
	else hue = (red - green) / spread + 4;
	// red, yellow, green, cyan, blue, magenta around the circle
	const base = [1, 3, 2, 6, 4, 5][Math.round(hue) % 6]!;
	return high > 200 ? base + 8 : base;
}

const classes = new Map<string, string>();

/** The CSS classes of a style; empty for plain text. */
export function styleClasses(style: Style): string {
	if (style === PLAIN) return '';
	const key = JSON.stringify(style);
	let value = classes.get(key);
	if (value === undefined) {
		value = compose(style);
		classes.set(key, value);
	}
	return value;
}

function compose(style: Style): string {
	const plain = style.fg === undefined && style.bg === undefined;
	// Swapped; a background is only ever a tint, so the theme's own text colour becomes a grey one.
	const [fg, bg] = style.inverse ? [style.bg, style.fg ?? (plain ? undefined : 7)] : [style.fg, style.bg];
	const names: string[] = [];
	if (style.inverse && plain) names.push('ansi-fg-page', 'ansi-bg-text');
	if (fg !== undefined) names.push(`ansi-fg-${fg}`);
	if (bg !== undefined) names.push(`ansi-bg-${bg}`);
	if (style.bold) names.push('ansi-bold');
	if (style.dim) names.push('ansi-dim');
	if (style.italic) names.push('ansi-italic');
	if (style.underline) names.push('ansi-underline');
	if (style.strike) names.push('ansi-strike');
	if (style.hidden) names.push('ansi-hidden');
	return names.join(' ');
}
