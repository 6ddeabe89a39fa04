// The vault for every page: how it stands, and opening it where it is needed.

export { default as VaultGate } from './VaultGate.svelte';
export { repeatOnceOpen } from './repeat';
export { provideVault, useVault, Vault } from './vault.svelte';
