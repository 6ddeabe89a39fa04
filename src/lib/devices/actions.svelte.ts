// What can be done to a device from a list: one description for the menu, the swipe tray and their questions.

import Logs from '@lucide/svelte/icons/scroll-text';
import OctagonX from '@lucide/svelte/icons/octagon-x';
import Pin from '@lucide/svelte/icons/pin';
import PinOff from '@lucide/svelte/icons/pin-off';
import RefreshCw from '@lucide/svelte/icons/refresh-cw';
import SquareTerminal from '@lucide/svelte/icons/square-terminal';
import Unplug from '@lucide/svelte/icons/unplug';
import type { Device, Me } from '$lib/api/types';
import { pins } from './pins.svelte';
import { m } from '$lib/i18n';
import { may } from '$lib/session';
import type { MenuItem } from '$lib/ui';

/** What is asked before it is done, because it cannot be undone. */
export type Question = { ask: 'stop-all' | 'disconnect'; device: Device };

export interface DeviceActionHooks {
	ask: (question: Question) => void;
	newCommand: (device: Device) => void;
}

/** The four of a swipe, in their order. */
export function quickActions(device: Device, me: Me | undefined, { ask }: DeviceActionHooks): MenuItem[] {
	const busy = (device.running_tasks ?? 0) + (device.queued_tasks ?? 0) > 0;
	return [
		// What stands in the way, if anything, is explained there.
		{ label: m.device_logs(), icon: Logs, href: `/devices/${device.id}/logs` },
		{ label: m.device_terminal(), icon: SquareTerminal, href: `/devices/${device.id}/terminal` },
		{
			label: m.device_stop_all_short(),
			icon: OctagonX,
			danger: true,
			unavailable: !may(me, 'operator')
				? m.device_needs_operator()
				: busy
					? undefined
					: m.device_stop_all_none(),
			onselect: () => ask({ ask: 'stop-all', device })
		},
		{
			label: m.device_disconnect(),
			icon: Unplug,
			danger: true,
			unavailable: may(me, 'admin') ? undefined : m.device_needs_admin(),
			onselect: () => ask({ ask: 'disconnect', device })
		}
	];
}

/** The same and more, in a menu. */
export function menuActions(device: Device, me: Me | undefined, hooks: DeviceActionHooks): MenuItem[] {
	const [logs, terminal, stopAll, disconnect] = quickActions(device, me, hooks);
	const pinned = pins.has(device.id);
	return [
		{
			label: pinned ? m.device_unpin() : m.device_pin(),
			icon: pinned ? PinOff : Pin,
			onselect: () => pins.toggle(device.id)
		},
		...(device.status === 'pending'
			? [
					{
						label: m.device_show_new_token(),
						icon: RefreshCw,
						unavailable: may(me, 'admin') ? undefined : m.device_needs_admin(),
						onselect: () => hooks.newCommand(device)
					}
				]
			: [logs!, terminal!, { ...stopAll!, label: m.device_stop_all() }]),
		disconnect!
	];
}
