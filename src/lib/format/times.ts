// When and how long. All instants are ms since epoch.

import { language, m } from '$lib/i18n';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `just now`, `3 min ago`, `yesterday`, and a date after a week. */
export function relativeTime(at: number, now: number): string {
	const ago = now - at;
	const past = new Intl.RelativeTimeFormat(language.current, { numeric: 'auto', style: 'short' });
	const size = Math.abs(ago);
	if (size < 10 * SECOND) return m.just_now();
	const say = (unit: Intl.RelativeTimeFormatUnit, ms: number) => past.format(-Math.trunc(ago / ms), unit);
	if (size < MINUTE) return say('second', SECOND);
	if (size < HOUR) return say('minute', MINUTE);
	if (size < DAY) return say('hour', HOUR);
	if (size < 7 * DAY) return say('day', DAY);
	return new Intl.DateTimeFormat(language.current, { dateStyle: 'medium' }).format(at);
}

/** The whole truth, for hovering. */
export function exactTime(at: number): string {
	return new Intl.DateTimeFormat(language.current, { dateStyle: 'medium', timeStyle: 'medium' }).format(at);
}

/** `14:05` today, `20 Nov, 14:05` on another day: for "since". */
export function shortTime(at: number, now: number): string {
	const today = startOfDay(at) === startOfDay(now);
	return new Intl.DateTimeFormat(language.current, {
		...(today ? {} : { day: 'numeric', month: 'short' }),
		hour: 'numeric',
		minute: '2-digit'
	}).format(at);
}

/** `14:05:09`. */
export function timeOfDay(at: number): string {
	return new Intl.DateTimeFormat(language.current, { timeStyle: 'medium' }).format(at);
}

/** `12 s`, `4 m 12 s`, `3 h 05 m`, `2 d 4 h`. The same letters in both languages. */
export function duration(ms: number): string {
	const seconds = Math.floor(ms / SECOND);
	const two = (value: number) => String(value).padStart(2, '0');
	if (ms < SECOND) return `${Math.max(0, Math.round(ms))}\u00a0ms`;
	if (ms < MINUTE) return `${seconds}\u00a0s`;
	if (ms < HOUR) return `${Math.floor(ms / MINUTE)}\u00a0m ${two(seconds % 60)}\u00a0s`;
	if (ms < DAY) return `${Math.floor(ms / HOUR)}\u00a0h ${two(Math.floor(ms / MINUTE) % 60)}\u00a0m`;
	return `${Math.floor(ms / DAY)}\u00a0d ${Math.floor(ms / HOUR) % 24}\u00a0h`;
}

/** Midnight before `at`, in this device's time zone. */
export function startOfDay(at: number): number {
	return new Date(at).setHours(0, 0, 0, 0);
}
