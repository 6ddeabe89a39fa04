// Shows what the server pushes, and opens what it is about. It sees no request and keeps nothing.

/** A page of this dashboard and nothing else, whatever was pushed. */
function pageOf(data) {
	const page = typeof data?.page === 'string' ? data.page : '/';
	const url = new URL(page, self.location.origin);
	return url.origin === self.location.origin ? url.href : self.location.origin;
}

function read(event) {
	try {
		return event.data?.json() ?? {};
	} catch {
		return {};
	}
}

const windows = () => self.clients.matchAll({ type: 'window', includeUncontrolled: true });

async function show(data) {
	const page = pageOf(data);
	// Only the very page in front makes a notification needless; browsers allow silence only then, too.
	if ((await windows()).some((window) => window.focused && window.url.split(/[?#]/)[0] === page)) return;
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
	const there = all.find((window) => window.url.split(/[?#]/)[0] === page) ?? all[0];
	if (!there) return self.clients.openWindow(page);
	await there.focus();
	if (there.url.split(/[?#]/)[0] === page) return undefined;
	// A page that this worker does not control cannot be led by it.
	return there.navigate(page).catch(() => self.clients.openWindow(page));
}

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('push', (event) => event.waitUntil(show(read(event))));
self.addEventListener('notificationclick', (event) => {
	event.notification.close();
	event.waitUntil(open(pageOf(event.notification.data)));
});
