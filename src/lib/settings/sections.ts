// The sections of the settings, in their order.

import AppWindow from '@lucide/svelte/icons/app-window';
import Bell from '@lucide/svelte/icons/bell';
import Boxes from '@lucide/svelte/icons/boxes';
import CircleUser from '@lucide/svelte/icons/circle-user';
import Database from '@lucide/svelte/icons/database';
import Info from '@lucide/svelte/icons/info';
import KeyRound from '@lucide/svelte/icons/key-round';
import LockKeyhole from '@lucide/svelte/icons/lock-keyhole';
import LogIn from '@lucide/svelte/icons/log-in';
import Network from '@lucide/svelte/icons/network';
import Palette from '@lucide/svelte/icons/palette';
import Server from '@lucide/svelte/icons/server';
import { inApp } from '$lib/host';
import { m } from '$lib/i18n';

/** Where a phone lists the sections; a wide screen shows the first of them there. */
export const SETTINGS = '/settings';

/** What has a place of its own in the bars has the same icon here. */
export const sections = () => [
	{ href: '/settings/account', label: m.settings_account(), icon: CircleUser },
	{ href: '/settings/appearance', label: m.settings_appearance(), icon: Palette },
	{ href: '/settings/notifications', label: m.notices_title(), icon: Bell },
	{ href: '/settings/devices', label: m.settings_devices(), icon: Server },
	{ href: '/settings/vault', label: m.vault_title(), icon: LockKeyhole },
	{ href: '/settings/models', label: m.nav_models(), icon: Boxes },
	{ href: '/settings/sign-ins', label: m.signin_title(), icon: LogIn },
	{ href: '/settings/tokens', label: m.settings_tokens(), icon: KeyRound },
	{ href: '/settings/server', label: m.settings_server(), icon: Database },
	...(inApp
		? [
				{ href: '/settings/servers', label: m.app_servers(), icon: Network },
				{ href: '/settings/app', label: m.shell_title(), icon: AppWindow }
			]
		: []),
	{ href: '/settings/about', label: m.settings_about(), icon: Info }
];
