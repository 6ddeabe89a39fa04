// Shows what the server pushes, opens what it is about, and says where this browser is told when that changes. It sees
// no request and keeps nothing.

/** A page of this dashboard and nothing else, whatever was pushed. */
function pageOf(data) {
	const page = typeof data?.page === 'string' ? data.page : '/';
	const url = new URL(page, self.location.origin);
	return url.origin === self.location.origin ? url.href : `${self.location.origin}/`;
}

function read(event) {
	try {
		return event.data?.json() ?? {};
	} catch {
		return {};
	}
}

const windows = () => self.clients.matchAll({ type: 'window', includeUncontrolled: true });

/** How long a page may take to say where it is, ms. One that is stuck shows nothing to anybody. */
const PATIENCE = 1_000;

/**
 * The page that a window shows now, as its page itself says. What the browser knows of it is where it was loaded: from
 * there the dashboard goes on without loading.
 */
function shownBy(window) {
	return new Promise((resolve) => {
		const { port1, port2 } = new MessageChannel();
		port1.onmessage = ({ data }) => resolve(data);
		setTimeout(resolve, PATIENCE);
		window.postMessage('where', [port2]);
	});
}

async function show(data) {
	const page = pageOf(data);
	// Only the very page in front makes a notification needless; browsers allow silence only then, too.
	const inFront = (await windows()).filter((window) => window.focused);
	if ((await Promise.all(inFront.map(shownBy))).includes(page)) return;
	const tag = typeof data.tag === 'string' ? data.tag : undefined;
	await self.registration.showNotification(String(data.title ?? 'Foreman'), {
		body: String(data.body ?? ''),
		icon: '/icon-192.png',
		badge: '/badge-96.png',
		tag,
		// What holds no longer takes the place of what was told, without a sound.
		silent: data.over === true,
		renotify: tag !== undefined && data.over !== true,
		requireInteraction: data.urgent === true,
		data: { page }
	});
}

async function open(page) {
	const all = await windows();
	const shown = await Promise.all(all.map(shownBy));
	const at = shown.indexOf(page);
	const there = all[Math.max(at, 0)];
	if (!there) return self.clients.openWindow(page);
	// A browser that does not give it the focus leads it all the same.
	await there.focus().catch(() => {});
	if (at >= 0) return undefined;
	// A page that this worker does not control cannot be led by it.
	return there.navigate(page).catch(() => self.clients.openWindow(page));
}

/**
 * The browser gave up the address it had. Whoever is signed in and was told here is told at the new one; for everybody
 * else it is given up, and the server hears of that from the push service.
 */
async function renew({ oldSubscription: old, newSubscription }) {
	const { pushManager } = self.registration;
	let made = newSubscription ?? (await pushManager.getSubscription());
	if (!made) {
		// Not every browser says with which key it had subscribed; the server gives it to who is signed in.
		const applicationServerKey = old?.options.applicationServerKey ?? (await keyOfServer());
		if (!applicationServerKey) return;
		made = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
	}
	const { endpoint, keys } = made.toJSON();
	const target = { endpoint, p256dh: keys.p256dh, auth: keys.auth };
	const answer = await fetch('/api/v1/push/receivers/renew', {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ target, was: old?.endpoint })
	});
	if (answer.status === 401 || answer.status === 404) await made.unsubscribe();
}

async function keyOfServer() {
	const answer = await fetch('/api/v1/push');
	return answer.ok ? (await answer.json()).public_key : undefined;
}

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('push', (event) => event.waitUntil(show(read(event))));
self.addEventListener('notificationclick', (event) => {
	event.notification.close();
	event.waitUntil(open(pageOf(event.notification.data)));
});
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(renew(event)));
