// The terminal's colours from the design tokens, as they are now: xterm draws on a canvas and needs them resolved.

import type { ISearchDecorationOptions } from '@xterm/addon-search';
import type { ITheme } from '@xterm/xterm';

const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const;

export function themeNow(element: HTMLElement): ITheme {
	const colour = reader(element);
	const theme: ITheme = {
		background: colour('--sunken'),
		foreground: colour('--text'),
		cursor: colour('--accent'),
		cursorAccent: colour('--sunken'),
		selectionBackground: colour('--terminal-selection'),
		selectionInactiveBackground: colour('--terminal-selection'),
		scrollbarSliderBackground: colour('--line-strong'),
		scrollbarSliderHoverBackground: colour('--text-faint'),
		scrollbarSliderActiveBackground: colour('--text-faint')
	};
	for (const name of NAMES) {
		theme[name] = colour(`--ansi-${name}`);
		const bright = `bright${name[0]!.toUpperCase()}${name.slice(1)}` as 'brightRed';
		theme[bright] = name === 'white' ? colour('--text') : colour(`--ansi-${name}`);
	}
	return theme;
}

export function searchColours(element: HTMLElement): ISearchDecorationOptions {
	const colour = reader(element);
	const match = hex(colour('--attention-soft'));
	const current = hex(colour('--accent-soft'));
	return {
		matchBackground: match,
		matchBorder: hex(colour('--attention')),
		matchOverviewRuler: hex(colour('--attention-mark')),
		activeMatchBackground: current,
		activeMatchBorder: hex(colour('--accent')),
		activeMatchColorOverviewRuler: hex(colour('--accent'))
	};
}

/** Tokens hold `light-dark()`; only a property of an element says which of both it is. */
function reader(element: HTMLElement): (token: string) => string {
	return (token) => {
		const probe = document.createElement('span');
		probe.style.color = `var(${token})`;
		element.append(probe);
		const { color } = getComputedStyle(probe);
		probe.remove();
		return color;
	};
}

/** The search addon understands nothing else. */
function hex(colour: string): string {
	const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? []).map(Number);
	return `#${[red, green, blue].map((part) => Math.round(part).toString(16).padStart(2, '0')).join('')}`;
}
