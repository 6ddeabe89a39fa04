// What a phone has around the page: its camera, a tap that is felt, its back gesture, and whether its person holds it.

import { exit, onBackButtonPress } from '@tauri-apps/api/app';
import { invoke } from '@tauri-apps/api/core';
import { call } from './call';
import type { PersonChecks, PhoneState, PushRegistration, PushState, Tick } from './commands';

export type { PersonChecks, PhoneState, PushState } from './commands';

export const state = () => call<PhoneState>('phone');

/** Does nothing where nothing can be felt. */
export const tick = (tick: Tick) => call<void>('tick', { tick }).catch(() => {});

export const chooseChecks = (checks: PersonChecks, reason: string) =>
	call<void>('choose_person_checks', { checks, reason });

/** Resolves once whoever holds it showed who they are. */
export const askPerson = (reason: string) => call<void>('ask_person', { reason });
export const unlock = (reason: string) => call<void>('unlock', { reason });
/** Where that is wanted; true when it is locked now. */
export const lock = () => call<boolean>('lock');

/** Who brings messages while the app is closed, and what there is for the shown server; null where nobody can. */
export const pushState = () => call<PushState | null>('push_state');
/**
 * Also again, which says where it is reached by now. The distributor is by its id, or null where the system itself brings
 * messages; `key` is the server's own.
 */
export const registerPush = (distributor: string | null, key: string) =>
	call<PushRegistration>('register_push', { distributor, key });
export const unregisterPush = () => call<void>('unregister_push');

/** What a code in front of the camera says; nothing when the person changed their mind or gives no camera. */
export async function scan(): Promise<string | undefined> {
	try {
		const { camera } = await invoke<{ camera: string }>('plugin:barcode-scanner|request_permissions');
		if (camera !== 'granted') return undefined;
		const options = { formats: ['QR_CODE'], windowed: false };
		return (await invoke<{ content: string }>('plugin:barcode-scanner|scan', options)).content;
	} catch {
		return undefined;
	}
}

/** Asks `back` at each back gesture of the system; where it did nothing, the system goes on as it likes. */
export function onBack(back: () => boolean): void {
	void onBackButtonPress(({ canGoBack }) => {
		if (back()) return;
		if (canGoBack) history.back();
		else void exit(0);
	}).catch(() => {
		// No such gesture here.
	});
}
