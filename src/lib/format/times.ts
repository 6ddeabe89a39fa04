// When and how long. All instants are ms since epoch.

import { language, m } from '$lib/i18n';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** One formatter for each use and way to write: making one takes longer than using it a hundred times. */
function once<T>(make: (formats: string) => T): () => T {
	const made = new Map<string, T>();
	return () => {
		const known = made.get(language.formats);
		if (known) return known;
		const fresh = make(language.formats);
		made.set(language.formats, fresh);
		return fresh;
	};
}

const minutes = once(
	(it) => new Intl.NumberFormat(it, { style: 'unit', unit: 'minute', unitDisplay: 'short' })
);
const past = once((it) => new Intl.RelativeTimeFormat(it, { numeric: 'auto', style: 'short' }));
const date = once((it) => new Intl.DateTimeFormat(it, { dateStyle: 'medium' }));
const moment = once((it) => new Intl.DateTimeFormat(it, { dateStyle: 'medium', timeStyle: 'medium' }));
const time = once((it) => new Intl.DateTimeFormat(it, { timeStyle: 'medium' }));
const CLOCK = { hour: 'numeric', minute: '2-digit' } as const;
const today = once((it) => new Intl.DateTimeFormat(it, CLOCK));
const otherDay = once((it) => new Intl.DateTimeFormat(it, { day: 'numeric', month: 'short', ...CLOCK }));

/** `just now`, `3 min ago`, `yesterday`, and a date after a week. */
export function relativeTime(at: number, now: number): string {
	const ago = now - at;
	const size = Math.abs(ago);
	if (size < 10 * SECOND) return m.just_now();
	const say = (unit: Intl.RelativeTimeFormatUnit, ms: number) => past().format(-Math.trunc(ago / ms), unit);
	if (size < MINUTE) return say('second', SECOND);
	if (size < HOUR) return say('minute', MINUTE);
	if (size < DAY) return say('hour', HOUR);
	if (size < 7 * DAY) return say('day', DAY);
	return date().format(at);
}

/** The whole truth, for hovering. */
export function exactTime(at: number): string {
	return moment().format(at);
}

/** `14:05` today, `20 Nov, 14:05` on another day: for "since". */
export function shortTime(at: number, now: number): string {
	return (startOfDay(at) === startOfDay(now) ? today : otherDay)().format(at);
}

/** `14:05:09`. */
export function timeOfDay(at: number): string {
	return time().format(at);
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

/** The same as people say what they have set: `8 h`, `5 min`, `1 h 30 min`, `1 m 30 s`. */
export function plainDuration(ms: number): string {
	return duration(ms)
		.replace(/ 0+\u00a0[hms]$/, '')
		.replace(/0?(\d+)\u00a0m$/, (_, count) => minutes().format(Number(count)).replace(' ', '\u00a0'));
}

/** Midnight before `at`, in this device's time zone. */
export function startOfDay(at: number): number {
	return new Date(at).setHours(0, 0, 0, 0);
}
