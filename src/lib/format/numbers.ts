// Sizes, rates and shares with their units. Sizes are decimal (1 GB = 10⁹ bytes) from 1 kB on, memory included,
// because that is what people compare with what a machine was sold as.

import { language } from '$lib/i18n';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

function format(value: number, digits: number): string {
	return new Intl.NumberFormat(language.formats, { maximumFractionDigits: digits }).format(value);
}

function scale(value: number): number {
	let unit = 0;
	let rest = Math.abs(value);
	// 999.5 kB would be shown as 1000 kB.
	while (rest >= 999.5 && unit < UNITS.length - 1) {
		rest /= 1000;
		unit++;
	}
	return unit;
}

function digitsFor(value: number, unit: number): number {
	return unit === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
}

/** `61.4 GB`, `61.4/128 GB`, `3.2 MB/s`. A no-break space keeps number and unit together. */
export function bytes(value: number, { of, rate = false }: { of?: number; rate?: boolean } = {}): string {
	const unit = scale(of ?? value);
	const divisor = 1000 ** unit;
	const number = (bytesOf: number) => {
		const scaled = bytesOf / divisor;
		return format(scaled, digitsFor(Math.abs(scaled), unit));
	};
	const amount = of === undefined ? number(value) : `${number(value)}/${number(of)}`;
	return `${amount}\u00a0${UNITS[unit]}${rate ? '/s' : ''}`;
}

/** `72 %`; under ten with one digit, so that an idle machine still shows life. */
export function percent(value: number): string {
	return `${format(value, value > 0 && value < 9.95 ? 1 : 0)}\u00a0%`;
}

/** `$1.23` from micro-dollars; under a cent with two digits that count, so that a cheap model still costs something. */
export function dollars(micros: number): string {
	const value = micros / 1_000_000;
	const small = value !== 0 && Math.abs(value) < 0.01;
	return new Intl.NumberFormat(language.formats, {
		style: 'currency',
		currency: 'USD',
		currencyDisplay: 'narrowSymbol',
		...(small ? { maximumSignificantDigits: 2 } : {})
	}).format(value);
}

/** `840`, `128k`, `1.05M`: how vendors write amounts of tokens, in both languages. */
export function tokens(value: number): string {
	if (value < 10_000) return format(value, 0);
	if (value < 999_500) return `${format(value / 1000, 0)}k`;
	return `${format(value / 1_000_000, 2)}M`;
}

export function count(value: number): string {
	return format(value, 0);
}
