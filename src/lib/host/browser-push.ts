// Pushes to this very browser: whether it can, and its subscription. In the app on a phone, what another app or the system
// brings takes their place.

import type { PushRegistration } from './app/commands';
import { app, inApp } from './transport';

const WORKER = '/push-worker.js';
/** As many letters of the hash as the server shows. */
const FINGERPRINT = 16;

/** Why this browser cannot be told, or whether it may be. */
export type PushAbility = 'insecure' | 'home-screen' | 'missing' | 'denied' | 'ask' | 'granted';

/** Where a push goes: to this browser, or to this app. */
export type PushTarget = BrowserTarget | PushRegistration['target'];

interface BrowserTarget {
	kind: 'web_push';
	endpoint: string;
	p256dh: string;
	auth: string;
}

export function pushAbility(): PushAbility {
	if (!isSecureContext) return 'insecure';
	if (!('serviceWorker' in navigator) || !('PushManager' in window) || !('Notification' in window)) {
		return /iPhone|iPad/.test(navigator.userAgent) ? 'home-screen' : 'missing';
	}
	return Notification.permission === 'default' ? 'ask' : Notification.permission;
}

/** Tells the worker which page is shown here, as long as the window is there. */
export function answerWorker(): void {
	if (!('serviceWorker' in navigator)) return;
	navigator.serviceWorker.addEventListener('message', ({ data, ports: [back] }) => {
		if (data === 'where') back?.postMessage(location.origin + location.pathname);
	});
}

async function current(): Promise<PushSubscription | undefined> {
	if (pushAbility() !== 'granted') return undefined;
	const worker = await navigator.serviceWorker.getRegistration(WORKER);
	return (await worker?.pushManager.getSubscription()) ?? undefined;
}

/** Where this browser is told, or this app while it is closed; nothing without a subscription. */
export async function pushTarget(): Promise<PushTarget | undefined> {
	if (inApp) return (await app().phone.pushState())?.mine?.target;
	const subscription = await current();
	return subscription && targetOf(subscription);
}

/** What the server calls it; nothing without one. */
export async function pushFingerprint(): Promise<string | undefined> {
	const here = await pushTarget();
	if (!here) return undefined;
	const address = here.kind === 'apns' ? here.token : here.endpoint;
	const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(address));
	return [...new Uint8Array(digest)]
		.map((byte) => byte.toString(16).padStart(2, '0'))
		.join('')
		.slice(0, FINGERPRINT);
}

/** Asks the person, which only a press may do; whether they allow it. */
export async function askForPush(): Promise<boolean> {
	return (await Notification.requestPermission()) === 'granted';
}

/** Subscribes with the server's key; an older subscription with another key is given up. */
export async function subscribeToPush(key: string): Promise<BrowserTarget> {
	const registered = await navigator.serviceWorker.register(WORKER, { scope: '/', updateViaCache: 'none' });
	const worker = (await navigator.serviceWorker.ready) ?? registered;
	const applicationServerKey = bytesOf(key);
	const old = await worker.pushManager.getSubscription();
	const known = old?.options.applicationServerKey;
	if (old && known && !same(new Uint8Array(known), applicationServerKey)) await old.unsubscribe();
	return targetOf(await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey }));
}

function targetOf(subscription: PushSubscription): BrowserTarget {
	const { endpoint, keys } = subscription.toJSON();
	return { kind: 'web_push', endpoint: endpoint ?? '', p256dh: keys?.p256dh ?? '', auth: keys?.auth ?? '' };
}

export async function unsubscribeFromPush(): Promise<void> {
	if (inApp) return app().phone.unregisterPush();
	await (await current())?.unsubscribe();
}

/** `Firefox, Linux`, for a list of browsers. */
export function browserName(): string {
	const agent = navigator.userAgent;
	const browser = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Safari'].find((name) => agent.includes(`${name}/`));
	const system = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac', 'Linux'].find((name) =>
		agent.includes(name)
	);
	const names: Record<string, string> = { Edg: 'Edge', OPR: 'Opera' };
	return [browser && (names[browser] ?? browser), system].filter(Boolean).join(', ') || 'Browser';
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
	const text = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
	return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

const same = (one: Uint8Array, other: Uint8Array) =>
	one.length === other.length && one.every((byte, index) => byte === other[index]);
