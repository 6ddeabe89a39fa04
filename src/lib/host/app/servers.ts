// The servers that the app knows. Tokens stay in the program: what comes here is names and addresses.

import { Channel } from '@tauri-apps/api/core';
import { call } from './call';
import type { ServerList, ServerPreview, SignInCode, Step, ThisComputer } from './commands';

export type { ServerEntry, ServerList, ServerPreview, SignInCode, Step, ThisComputer } from './commands';

export const list = () => call<ServerList>('servers');

/** What is at an address, or behind a pairing link. Nobody is signed in by it. */
export const look = (text: string) => call<ServerPreview>('look_at_server', { text });

/** Opens the browser, and resolves when a person has allowed it there and the browser came back. */
export const signInByBrowser = (address: string) => call<string>('sign_in_by_browser', { address });

/** Resolves when a person has approved; the code to compare is told first. */
export const signIn = (address: string, code: (code: SignInCode) => void) =>
	call<string>('sign_in', { address, code: new Channel<SignInCode>(code) });

export const openSignInPage = () => call<void>('open_sign_in_page');
export const stopSignIn = () => call<void>('stop_sign_in');

export const useThisComputer = (step: (step: Step) => void) =>
	call<string>('use_this_computer', { steps: new Channel<Step>(step) });

/** How the server and the agent on this computer are run. */
export const thisComputer = () => call<ThisComputer>('this_computer');

/** Has them run as services that stay, or with the app again; resolves when they do. */
export const keepThisComputer = (keep: boolean) => call<ThisComputer>('keep_this_computer', { keep });

/** Starts services that are stopped; resolves when the server answers. */
export const startThisComputer = () => call<ThisComputer>('start_this_computer');

export const select = (id: string) => call<boolean>('select_server', { id });
export const rename = (id: string, name: string) => call<void>('rename_server', { id, name });

/** Signs out; false when the server could not be told, so that its list still shows this app. */
export const leave = (id: string, forget: boolean) => call<boolean>('leave_server', { id, forget });

/** What a device has to trust so that this app may call it directly. */
export const ownerKey = () => call<string>('owner_key');
