// What an address in a model's answer may be. Nothing is opened or loaded by itself.

const OPENS = new Set(['http:', 'https:', 'mailto:']);

/** The address, when it is one that may be opened; a model's `javascript:` is text. */
export function safeAddress(href: string): string | undefined {
	let url: URL;
	try {
		url = new URL(href.trim());
	} catch {
		return undefined;
	}
	return OPENS.has(url.protocol) ? url.href : undefined;
}

const NAMED: Record<string, string> = {
	amp: '&',
	lt: '<',
	gt: '>',
	quot: '"',
	apos: "'",
	nbsp: '\u00a0',
	ndash: '–',
	mdash: '—',
	hellip: '…',
	copy: '©',
	times: '×',
	rarr: '→',
	larr: '←',
	deg: '°'
};

/** Markdown knows HTML's names of characters; what is drawn here is text, so they are characters. */
export function withCharacters(text: string): string {
	return text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|(\w{2,8}));/g, (all, decimal, hex, name) => {
		if (name !== undefined) return NAMED[name] ?? all;
		const code = decimal !== undefined ? Number(decimal) : parseInt(hex, 16);
		return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
			? String.fromCodePoint(code)
			: '\ufffd';
	});
}
