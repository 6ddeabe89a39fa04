// Signing in to providers of models. Tokens stay in the program: what comes here is codes for people and how it stands.

import { Channel } from '@tauri-apps/api/core';
import { call } from './call';
import type { ProviderSignIn, ProviderStep, SignInConfiguration } from './commands';

export type { ProviderSignIn, ProviderStep, SignInConfiguration, SignInOnDevice } from './commands';

/** What came of taking a token back. */
export type Revoked = 'yes' | 'not_offered' | 'failed' | 'server_untold';

export const list = () => call<ProviderSignIn[]>('provider_sign_ins');

/** Resolves when it is done; what the person has to do is told before. */
export const begin = (id: string, keepInVault: boolean, step: (step: ProviderStep) => void) =>
	call<void>('begin_provider_sign_in', { id, keepInVault, steps: new Channel<ProviderStep>(step) });

/** Opens the page of the attempt in a browser. */
export const openPage = (id: string) => call<void>('open_provider_page', { id });
export const cancel = (id: string) => call<void>('cancel_provider_sign_in', { id });

export const signOut = (id: string) => call<Revoked>('sign_out_of_provider', { id });

/** Puts the token into the shown server's vault, or takes it out of the one it is in. */
export const keep = (id: string, inVault: boolean) => call<void>('keep_provider_sign_in', { id, inVault });

export const configure = (configuration: SignInConfiguration) =>
	call<void>('configure_provider', { configuration });
export const forget = (id: string) => call<void>('forget_provider', { id });

/** Opens the file that stands in for a keychain, or makes it. */
export const openSecretFile = (passphrase: string) => call<void>('open_secret_file', { passphrase });
