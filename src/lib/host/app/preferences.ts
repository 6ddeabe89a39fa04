// What is chosen for this app on this device, and what the program around the page is.

import { call } from './call';
import type { AppChoice, AppFacts, AppPreferences, NoticeChoice, NoticeState } from './commands';

export type { AppChoice, AppFacts, AppPreferences, NoticeChoice, NoticeState } from './commands';

export const notices = () => call<NoticeState>('notices');
export const chooseNotices = (choice: NoticeChoice) => call<void>('choose_notices', { choice });
export const tryNotice = () => call<void>('try_notice');

/** What is said outside the window is said in this language too. */
export const speak = (language: 'en' | 'de') => call<void>('speak', { language });

export const get = () => call<AppPreferences>('preferences');
/** What is so afterwards. */
export const choose = (choice: AppChoice) => call<AppPreferences>('choose_preferences', { choice });

export const facts = () => call<AppFacts>('app_facts');
