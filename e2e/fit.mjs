// @ts-check
// Whether a page fits its screen.

/** What lies beyond an edge. Output, code and terminals scroll by themselves, and what is shortened says so with an ellipsis. */
export function beyond() {
	const wide = document.documentElement.clientWidth;
	/** @type {string[]} */
	const found = [];
	if (document.documentElement.scrollWidth > wide)
		found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
	for (const choice of document.querySelectorAll('fieldset:has(> label > input[type="radio"])')) {
		const lines = new Set(
			[...choice.children]
				.filter(({ tagName }) => tagName === 'LABEL')
				.map((label) => label.getBoundingClientRect().top)
		);
		if (lines.size > 1)
			found.push(`on ${lines.size} lines: ${/** @type {HTMLElement} */ (choice).innerText}`);
	}
	const free = 'pre, code, .xterm, [role="region"], table, textarea, input, select, progress';
	for (const element of document.querySelectorAll('body *')) {
		if (!(element instanceof HTMLElement) || !element.checkVisibility() || element.closest(free)) continue;
		if (element.closest('.visually-hidden, .skip, [inert], svg')) continue;
		const style = getComputedStyle(element);
		const box = element.getBoundingClientRect();
		if (box.width === 0 || box.height === 0) continue;
		const name = `${element.tagName.toLowerCase()}.${element.className}: ${element.innerText.slice(0, 40)}`;
		const more = element.scrollWidth - element.clientWidth;
		if (more > 1 && ['auto', 'scroll'].includes(style.overflowX)) found.push(`scrolls sideways: ${name}`);
		else if (more > 1 && ['hidden', 'clip'].includes(style.overflowX) && style.textOverflow !== 'ellipsis') {
			const words = [...element.childNodes].some((one) => one.nodeType === 3 && one.textContent?.trim());
			if (words) found.push(`cut off: ${name}`);
		}
		if (element.children.length === 0 && element.innerText?.trim() && style.position !== 'fixed') {
			const range = document.createRange();
			range.selectNodeContents(element);
			const words = range.getBoundingClientRect();
			const shortened = element.closest('.truncate') || style.textOverflow === 'ellipsis';
			if (!shortened && (words.right > wide + 1 || words.left < -1)) found.push(`beyond the edge: ${name}`);
		}
	}
	return [...new Set(found)];
}
