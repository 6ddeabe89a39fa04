// The screen itself: xterm.js and its addons, in one place and one chunk that is fetched when a terminal is shown.
// Knows no network: bytes come in, typed text goes out.

import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { WebglAddon } from '@xterm/addon-webgl';
import { Terminal } from '@xterm/xterm';
import { native } from '$lib/host';
import { isAnswer } from './keys';
import { documentWithSheets, whileMakingSheets } from './style-sheets';
import { searchColours, themeNow } from './theme';
import { scrollByTouch } from './touch';

export interface ScreenOptions {
	element: HTMLElement;
	/** Said to screen readers. */
	label: string;
	fontSize: number;
	typed: (text: string) => void;
	/** How many matches a search has, and which one is shown, from 0. */
	found: (count: number, current: number) => void;
	/** A link was pressed whose words are the program's and may name another address: http or https. */
	linked: (address: string) => void;
	/** A key press that is the page's and not the terminal's. */
	ours: (event: KeyboardEvent) => boolean;
}

/** Lines kept to scroll back to: more than the device replays. */
const SCROLLBACK = 20_000;

export class Screen {
	readonly #terminal: Terminal;
	readonly #fit = new FitAddon();
	readonly #search = new SearchAddon({ highlightLimit: 2_000 });
	readonly #element: HTMLElement;
	readonly #stopTouch: () => void;
	/** Writes of what was printed before: what the terminal answers to them is not typed. */
	#replaying = 0;
	#waiting = 0;

	constructor({ element, label, fontSize, typed, found, linked, ours }: ScreenOptions) {
		this.#element = element;
		const terminal = (this.#terminal = new Terminal({
			allowProposedApi: true,
			documentOverride: documentWithSheets(document),
			cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
			fontFamily: getComputedStyle(element).getPropertyValue('--mono'),
			fontSize,
			lineHeight: 1.15,
			// As it is opened, and so in letters that no other host's look like.
			linkHandler: { activate: (_, address) => linked(new URL(address).href) },
			macOptionIsMeta: true,
			minimumContrastRatio: 4.5,
			rightClickSelectsWord: true,
			scrollback: SCROLLBACK,
			theme: themeNow(element)
		}));
		terminal.loadAddon(this.#fit);
		terminal.loadAddon(this.#search);
		terminal.loadAddon(new UnicodeGraphemesAddon());
		terminal.unicode.activeVersion = '15-graphemes';
		terminal.loadAddon(new WebLinksAddon((_, address) => native.openOutside(address)));
		terminal.attachCustomKeyEventHandler((event) => !ours(event));
		terminal.onData((text) => {
			if (this.#replaying === 0 || !isAnswer(text)) typed(text);
		});
		terminal.onBinary((text) => typed(text));
		this.#search.onDidChangeResults(({ resultCount, resultIndex }) => found(resultCount, resultIndex));
		whileMakingSheets(document, () => terminal.open(element));
		terminal.textarea?.setAttribute('aria-label', label);
		this.#stopTouch = scrollByTouch(
			element,
			() => this.#cellHeight(),
			(lines) => this.#scroll(lines)
		);
		this.#drawWithGpu();
	}

	get cols(): number {
		return this.#terminal.cols;
	}
	get rows(): number {
		return this.#terminal.rows;
	}
	/** Bytes handed over and not drawn yet. */
	get waiting(): number {
		return this.#waiting;
	}
	/** The program wants the other kind of arrows. */
	get applicationArrows(): boolean {
		return this.#terminal.modes.applicationCursorKeysMode;
	}
	get selection(): string {
		return this.#terminal.getSelection();
	}

	/** `drawn` is called when it has been taken in. */
	write(data: Uint8Array, replayed: boolean, drawn: () => void): void {
		this.#waiting += data.length;
		if (replayed) this.#replaying += 1;
		this.#terminal.write(data, () => {
			this.#waiting -= data.length;
			if (replayed) this.#replaying -= 1;
			drawn();
		});
	}

	/** A line of ours among what was printed. */
	note(text: string): void {
		this.#terminal.write(`\r\n\x1b[0;7m ${text} \x1b[0m\r\n`);
	}

	/** The size that fills the element; nothing while it is hidden. */
	proposed(): { cols: number; rows: number } | undefined {
		const size = this.#fit.proposeDimensions();
		if (!size || !Number.isFinite(size.cols) || !Number.isFinite(size.rows)) return undefined;
		return { cols: Math.max(2, Math.min(1000, size.cols)), rows: Math.max(1, Math.min(1000, size.rows)) };
	}

	resize(cols: number, rows: number): void {
		if (cols !== this.#terminal.cols || rows !== this.#terminal.rows) this.#terminal.resize(cols, rows);
	}

	find(query: string, by: 1 | -1, incremental = false): void {
		if (query === '') {
			this.#search.clearDecorations();
			this.#terminal.clearSelection();
			return;
		}
		const options = { incremental, decorations: searchColours(this.#element) };
		if (by === 1) this.#search.findNext(query, options);
		else this.#search.findPrevious(query, options);
	}

	/** Everything that is held, as text. */
	text(): string {
		const buffer = this.#terminal.buffer.active;
		const lines: string[] = [];
		for (let row = 0; row < buffer.length; row += 1) {
			const line = buffer.getLine(row);
			if (!line) continue;
			const text = line.translateToString(true);
			if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
			else lines.push(text);
		}
		return lines.join('\n').trimEnd();
	}

	paste(text: string): void {
		this.#terminal.paste(text);
	}
	focus(): void {
		this.#terminal.focus();
	}
	toEnd(): void {
		this.#terminal.scrollToBottom();
	}
	selectAll(): void {
		this.#terminal.selectAll();
	}
	setFontSize(size: number): void {
		this.#terminal.options.fontSize = size;
	}
	setTheme(): void {
		this.#terminal.options.theme = themeNow(this.#element);
	}
	setReadOnly(readOnly: boolean): void {
		this.#terminal.options.disableStdin = readOnly;
		this.#terminal.options.cursorInactiveStyle = readOnly ? 'none' : 'outline';
	}

	close(): void {
		this.#stopTouch();
		this.#terminal.dispose();
	}

	/** Through what was printed; where a program has the whole screen or the mouse, by the wheel that it knows. */
	#scroll(lines: number): void {
		const { buffer, modes } = this.#terminal;
		if (buffer.active.type === 'normal' && modes.mouseTrackingMode === 'none') {
			this.#terminal.scrollLines(lines);
			return;
		}
		const screen = this.#element.querySelector('.xterm-screen') ?? this.#element;
		const box = screen.getBoundingClientRect();
		screen.dispatchEvent(
			new WheelEvent('wheel', {
				deltaY: lines,
				deltaMode: WheelEvent.DOM_DELTA_LINE,
				clientX: box.left + box.width / 2,
				clientY: box.top + box.height / 2,
				bubbles: true,
				cancelable: true
			})
		);
	}

	#cellHeight(): number {
		return this.#element.clientHeight / Math.max(1, this.#terminal.rows);
	}

	/** By the GPU where there is a real one; else, and when it is taken away, by the page itself. */
	#drawWithGpu(): void {
		const probe = document.createElement('canvas');
		const context = probe.getContext('webgl2', { failIfMajorPerformanceCaveat: true });
		const named = context?.getExtension('WEBGL_debug_renderer_info');
		const name: unknown = context && named && context.getParameter(named.UNMASKED_RENDERER_WEBGL);
		if (!context || /swiftshader|llvmpipe|software/i.test(String(name))) return;
		context.getExtension('WEBGL_lose_context')?.loseContext();
		try {
			const addon = new WebglAddon();
			addon.onContextLoss(() => addon.dispose());
			this.#terminal.loadAddon(addon);
		} catch {
			// Drawn by the page.
		}
	}
}
