// The back gesture of a phone: it closes what lies over the page first, and only then goes back.

import { app, native } from '$lib/host';

/** What lies over a page and closes by Escape. */
const OVER = '[role="dialog"], [role="alertdialog"], [role="menu"], [role="listbox"]';

export function hearBack(): void {
	void native.phone().then((state) => state?.phone && app().phone.onBack(closeUppermost));
}

/** False when nothing lies over the page. */
export function closeUppermost(): boolean {
	const over = [...document.querySelectorAll<HTMLElement>(OVER)].filter((one) => one.checkVisibility());
	const uppermost = over.at(-1);
	if (!uppermost) return false;
	const inside = uppermost.contains(document.activeElement) ? document.activeElement : uppermost;
	const escape = new KeyboardEvent('keydown', { key: 'Escape', bubbles: true, cancelable: true });
	(inside ?? uppermost).dispatchEvent(escape);
	return true;
}
