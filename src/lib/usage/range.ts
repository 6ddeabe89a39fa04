/** Which days and by what, as the URL says it. Days are UTC, as spend caps count them. */

export const RANGES = ['today', '7', '30', 'custom'] as const;
export type RangeName = (typeof RANGES)[number];
export const BY = ['model', 'provider', 'device', 'key', 'project', 'day'] as const;
export type By = (typeof BY)[number];

export interface UsageView {
	range: RangeName;
	/** `2026-11-01`, both included; of a custom range. */
	from?: string;
	to?: string;
	by: By;
}

const DAY = 86_400_000;
/** The server adds up no more at once. */
export const MOST_DAYS = 400;

export function viewFrom(parameters: URLSearchParams): UsageView {
	const range = parameters.get('range');
	const by = parameters.get('by');
	const view: UsageView = {
		range: RANGES.find((one) => one === range) ?? '7',
		by: BY.find((one) => one === by) ?? 'model'
	};
	if (view.range !== 'custom') return view;
	const from = parameters.get('from') ?? '';
	const to = parameters.get('to') ?? '';
	// Half a range is none.
	return isDay(from) && isDay(to) && from <= to ? { ...view, from, to } : { ...view, range: '7' };
}

/** Another first or last day. The other one goes along where it would come before it or after it. */
export function withDay(view: UsageView, side: 'from' | 'to', day: string): UsageView {
	// Emptied, or half typed.
	if (!isDay(day)) return view;
	const { from = day, to = day } = view;
	return side === 'from'
		? { ...view, from: day, to: to < day ? day : to }
		: { ...view, from: from > day ? day : from, to: day };
}

/** `?…` for the address. */
export function searchOf(view: UsageView): string {
	const parameters = new URLSearchParams();
	if (view.range !== '7') parameters.set('range', view.range);
	if (view.range === 'custom' && view.from && view.to) {
		parameters.set('from', view.from);
		parameters.set('to', view.to);
	}
	if (view.by !== 'model') parameters.set('by', view.by);
	const text = parameters.toString();
	return text === '' ? '' : `?${text}`;
}

export function isDay(text: string): boolean {
	return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
}

export function dayOf(at: number): string {
	return new Date(at).toISOString().slice(0, 10);
}

/** From the first instant up to, and without, the last; ms since epoch. */
export function spanOf(view: UsageView, now: number): { from: number; to: number } {
	const today = Math.floor(now / DAY) * DAY;
	if (view.range === 'custom' && view.from && view.to) {
		return {
			from: Date.parse(`${view.from}T00:00:00Z`),
			to: Date.parse(`${view.to}T00:00:00Z`) + DAY
		};
	}
	const days = view.range === 'today' ? 1 : Number(view.range);
	return { from: today - (days - 1) * DAY, to: today + DAY };
}

/** Every day of a span, so that days without use are drawn too. */
export function daysOf({ from, to }: { from: number; to: number }): string[] {
	const days: string[] = [];
	for (let at = Math.floor(from / DAY) * DAY; at < to; at += DAY) days.push(dayOf(at));
	return days;
}

export function tooLong({ from, to }: { from: number; to: number }): boolean {
	return to - from > MOST_DAYS * DAY;
}
