// Newer versions of this app. Only asked for where whoever packed it said where they are.

import { Channel } from '@tauri-apps/api/core';
import { call } from './call';
import type { UpdateOffer, UpdateProgress } from './commands';

export type { UpdateOffer, UpdateProgress } from './commands';

/** What is newer than this app; null when nothing is. */
export const look = () => call<UpdateOffer | null>('look_for_update');

/** Installs what was offered; the app starts anew then, and this never resolves. */
export const install = (version: string, step: (progress: UpdateProgress) => void) =>
	call<void>('install_update', { version, progress: new Channel<UpdateProgress>(step) });
