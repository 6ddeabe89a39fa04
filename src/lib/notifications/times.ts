// Times of a day as minutes since midnight, in half hours: finer than that nobody sleeps.

const STEP = 30;
const DAY = 24 * 60;

export interface TimeOption {
	value: string;
	label: string;
}

/** `22:30`. */
export function clockTime(minute: number): string {
	const two = (part: number) => String(part).padStart(2, '0');
	return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

/** What can be chosen, and what is chosen already where that is none of it. */
export function timeOptions(chosen: number): TimeOption[] {
	const minutes = Array.from({ length: DAY / STEP }, (_, at) => at * STEP);
	if (!minutes.includes(chosen)) minutes.push(chosen);
	return minutes.sort((a, b) => a - b).map((minute) => ({ value: String(minute), label: clockTime(minute) }));
}
