// The places of the dashboard, in the order both bars show them.

import type { Component } from 'svelte';
import Activity from '@lucide/svelte/icons/activity';
import Boxes from '@lucide/svelte/icons/boxes';
import Ellipsis from '@lucide/svelte/icons/ellipsis';
import House from '@lucide/svelte/icons/house';
import MessageSquare from '@lucide/svelte/icons/message-square';
import Server from '@lucide/svelte/icons/server';
import Settings from '@lucide/svelte/icons/settings';
import SquareTerminal from '@lucide/svelte/icons/square-terminal';
import { m } from '$lib/i18n';

export interface Place {
	href: string;
	/** Addresses that belong to it, by their beginning; its own when absent. */
	covers?: readonly string[];
	label: () => string;
	icon: Component<{ size?: number | string; 'aria-hidden'?: boolean | 'true' }>;
	/** After `g`. */
	key?: string;
}

const home: Place = { href: '/', label: m.nav_home, icon: House, key: 'h' };
const devices: Place = { href: '/devices', label: m.nav_devices, icon: Server, key: 'd' };
const work: Place = {
	href: '/work',
	covers: ['/work', '/tasks'],
	label: m.nav_work,
	icon: SquareTerminal,
	key: 'w'
};
const chat: Place = { href: '/chat', label: m.nav_chat, icon: MessageSquare };
const models: Place = { href: '/models', label: m.nav_models, icon: Boxes, key: 'm' };
const activity: Place = { href: '/activity', label: m.nav_activity, icon: Activity, key: 'a' };
const settings: Place = { href: '/settings', label: m.nav_settings, icon: Settings, key: 's' };
const more: Place = {
	href: '/more',
	covers: ['/more', '/models', '/activity', '/settings'],
	label: m.nav_more,
	icon: Ellipsis
};

/** Five, because a thumb reaches five. */
export const bottomBar: readonly Place[] = [home, devices, work, chat, more];
/** There is room for what the phone keeps under More. */
export const sideBar: readonly Place[] = [home, devices, work, chat, models, activity, settings];
/** Below Models, and what belongs to it in the settings; the palette leads there too. */
export const modelPages: readonly Pick<Place, 'href' | 'label'>[] = [
	{ href: '/models/catalogue', label: m.models_catalogue },
	{ href: '/models/routing', label: m.models_routing },
	{ href: '/models/keys', label: m.palette_keys },
	{ href: '/models/usage', label: m.models_usage },
	{ href: '/settings/vault', label: m.vault_title }
];

/** What More leads to. */
export const behindMore: readonly Place[] = [models, activity, settings];

export function isAt(place: Place, pathname: string): boolean {
	if (place.href === '/') return pathname === '/';
	return (place.covers ?? [place.href]).some(
		(start) => pathname === start || pathname.startsWith(`${start}/`)
	);
}
