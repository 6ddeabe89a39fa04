// What the system around the window says and does.

import { Channel } from '@tauri-apps/api/core';
import { call } from './call';
import type { AppNews } from './commands';

export type { AppNews } from './commands';

/** Hears what the program has to say from now on, and what came before anybody listened. Once for each page. */
export const listen = (hear: (news: AppNews) => void) =>
	call<void>('begin', { news: new Channel<AppNews>(hear) });

export const openOutside = (address: string) => call<void>('open_outside', { address });
