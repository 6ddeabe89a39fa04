// xterm writes its styles into <style> elements, which the page's content policy forbids. Constructed style sheets
// are allowed, so it gets a document whose <style> elements are those.

/** The page's document, but for the <style> elements it makes. */
export function documentWithSheets(real: Document): Document {
	return new Proxy(real, {
		get(target, name) {
			if (name === 'createElement') {
				return (tag: string, options?: ElementCreationOptions) =>
					tag === 'style'
						? sheetElement(target)
						: Document.prototype.createElement.call(target, tag, options);
			}
			const value: unknown = Reflect.get(target, name, target);
			return typeof value === 'function' ? (value.bind(target) as unknown) : value;
		},
		set: (target, name, value) => Reflect.set(target, name, value, target)
	});
}

/** What runs meanwhile gets such elements from the real document as well: xterm asks it in one place. */
export function whileMakingSheets(real: Document, run: () => void): void {
	const made = documentWithSheets(real);
	real.createElement = made.createElement.bind(made) as Document['createElement'];
	try {
		run();
	} finally {
		// The prototype's own shows again.
		delete (real as Partial<Document>).createElement;
	}
}

/** Looks to its maker like a <style>: its text is a sheet, and goes when it goes. */
function sheetElement(document: Document): HTMLElement {
	const element = Document.prototype.createElement.call(document, 'span');
	element.hidden = true;
	const sheet = new CSSStyleSheet();
	document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
	let text = '';
	Object.defineProperty(element, 'textContent', {
		get: () => text,
		set: (value: string) => sheet.replaceSync((text = value))
	});
	Object.defineProperty(element, 'sheet', { get: () => sheet });
	element.remove = () => {
		document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
		Element.prototype.remove.call(element);
	};
	return element;
}
