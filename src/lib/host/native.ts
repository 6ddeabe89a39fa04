// What the machine around the page offers: in a browser its clipboard, in the app more.

import { app, inApp } from './transport';

export const native = {
	kind: (inApp ? 'app' : 'web') as 'web' | 'app',

	/** Puts text on the clipboard; false when the browser refuses. */
	async copy(text: string): Promise<boolean> {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch {
			return copyBySelection(text);
		}
	},

	/** What is on the clipboard; nothing when the browser does not say. */
	async pasted(): Promise<string | undefined> {
		try {
			return await navigator.clipboard.readText();
		} catch {
			return undefined;
		}
	},

	/** Opens a web address in a browser, beside this page. */
	openOutside(address: string): void {
		if (inApp) void app().openOutside(address);
		else window.open(address, '_blank', 'noopener,noreferrer');
	},

	/** Whether this is a Mac or an iPad, where shortcuts say ⌘. */
	get apple(): boolean {
		return typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.platform);
	}
};

/** The clipboard API is missing on plain http addresses other than localhost; selecting still works there. */
function copyBySelection(text: string): boolean {
	const area = document.createElement('textarea');
	area.value = text;
	area.setAttribute('readonly', '');
	area.className = 'visually-hidden';
	// Inside an open dialog, because focus cannot leave it.
	(document.querySelector('[role="dialog"]') ?? document.body).append(area);
	area.select();
	const copied = document.execCommand('copy');
	area.remove();
	return copied;
}
