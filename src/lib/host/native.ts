// What the machine around the page offers: in a browser its clipboard, in the app more.

import type { PhoneState } from './app/phone';
import { app, inApp } from './transport';

export type Tick = 'threshold' | 'done' | 'warning';

/** ms; on and off by turns. */
const VIBRATION: Record<Tick, number | number[]> = { threshold: 8, done: 15, warning: [20, 60, 20] };

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

	/** A short tap to the finger, where the machine can: a threshold was passed, something was done, something is at stake. */
	tick(kind: Tick): void {
		if (inApp) void app().phone.tick(kind);
		else if (matchMedia('(pointer: coarse)').matches) navigator.vibrate?.(VIBRATION[kind]);
	},

	/** What is so of the phone around the page; nothing in a browser. */
	async phone(): Promise<PhoneState | undefined> {
		return inApp ? app().phone.state() : undefined;
	},

	/** Before what cannot be undone: resolves once whoever holds the phone showed who they are, where that is wanted. */
	async confirmPerson(reason: string): Promise<void> {
		if (!inApp) return;
		const { phone, checks } = await app().phone.state();
		if (phone && checks.before_acts) await app().phone.askPerson(reason);
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
