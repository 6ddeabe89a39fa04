// How a sign-in stands, in words.

import type { ProviderSignIn } from '$lib/host';
import { m } from '$lib/i18n';
import type { DeviceStatus } from './status';

export function stateOf({ state, configured }: Pick<ProviderSignIn, 'state' | 'configured'>): string {
	if (state === 'signed_in') return m.signin_state_in();
	if (state === 'ended') return m.signin_state_ended();
	return configured ? m.signin_state_out() : m.signin_state_unconfigured();
}

/** Where the token is. */
export function placeOf({ in_vault_of, renews }: Pick<ProviderSignIn, 'in_vault_of' | 'renews'>): string {
	if (!in_vault_of) return m.signin_place_device();
	return renews
		? m.signin_place_vault_renewed({ server: in_vault_of })
		: m.signin_place_vault({ server: in_vault_of });
}

/** What a vendor's program said on a device. */
export function statusWords(status: DeviceStatus | undefined, program: string, device: string): string {
	if (!status) return m.signin_device_is_unknown({ program, device });
	if (!status.signedIn) return m.signin_device_is_out({ device });
	return status.who
		? m.signin_device_is_in_as({ device, who: status.who })
		: m.signin_device_is_in({ device });
}

/** A name as the app can keep it: small letters, digits and hyphens. */
export function idFrom(name: string, taken: readonly string[]): string {
	const plain = name
		.normalize('NFKD')
		.toLowerCase()
		.replace(/[^a-z0-9]+/g, '-')
		.replace(/^-+|-+$/g, '')
		.slice(0, 36);
	const first = plain || 'provider';
	let id = first;
	for (let next = 2; taken.includes(id); next++) id = `${first}-${next}`;
	return id;
}
