import { beforeEach, describe, expect, it, vi } from 'vitest';
import { language, type Language } from '$lib/i18n';
import { bytes, percent } from './numbers';
import { duration, exactTime, plainDuration, relativeTime, shortTime, timeOfDay } from './times';

vi.stubGlobal('document', { documentElement: {} });

/** As on screen, with the no-break space made visible as a plain one. */
const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ');
const GB = 1_000_000_000;

beforeEach(() => language.choose('en'));

describe('bytes', () => {
	it('has three digits at most, and a unit', () => {
		const shown = [0, 999, 1000, 1_500, 999_400, 999_600, 61_400_000_000, 4e12].map((value) =>
			plain(bytes(value))
		);
		expect(shown).toEqual(['0 B', '999 B', '1 kB', '1.5 kB', '999 kB', '1 MB', '61.4 GB', '4 TB']);
	});

	it('shows a part in the unit of the whole', () => {
		expect(plain(bytes(0.42 * GB, { of: 128 * GB }))).toBe('0.42/128 GB');
		expect(plain(bytes(120_000, { rate: true }))).toBe('120 kB/s');
	});

	it('speaks German', () => {
		language.choose('de');
		expect(plain(bytes(61_400_000_000))).toBe('61,4 GB');
	});
});

describe('percent', () => {
	it('has a digit more when there is little', () => {
		expect([0, 0.4, 9.94, 9.96, 72.4].map((value) => plain(percent(value)))).toEqual([
			'0 %',
			'0.4 %',
			'9.9 %',
			'10 %',
			'72 %'
		]);
	});
});

describe('times', () => {
	const NOW = Date.UTC(2026, 10, 21, 12);

	it('says how long ago', () => {
		const ago = (ms: number) => relativeTime(NOW - ms, NOW);
		expect(ago(3_000)).toBe('just now');
		expect(ago(42_000)).toMatch(/^42 sec/);
		expect(ago(3 * 60_000)).toMatch(/^3 min/);
		expect(ago(26 * 3600_000)).toBe('yesterday');
		language.choose('de');
		expect(ago(3_000)).toBe('gerade eben');
		expect(ago(3 * 60_000)).toMatch(/^vor 3 Min/);
	});

	it('leaves today out of a short time', () => {
		expect(shortTime(NOW, NOW)).toMatch(/^\d{1,2}:\d\d/);
		expect(shortTime(NOW - 3 * 86_400_000, NOW)).toContain('Nov');
	});

	it('writes dates as the reader does', () => {
		const at = new Date(2026, 10, 21, 14, 5, 9).getTime();
		const read = (chosen: Language, ...languages: string[]) => {
			vi.stubGlobal('navigator', { languages });
			language.choose(chosen === 'en' ? 'de' : 'en');
			language.choose(chosen);
			return plain(`${exactTime(at)} | ${timeOfDay(at)} | ${shortTime(at, at)}`);
		};
		const british = '21 Nov 2026, 14:05:09 | 14:05:09 | 14:05';
		expect(read('en', 'en-GB', 'en-US', 'en')).toBe(british);
		expect(read('en', 'en-US', 'en')).toBe('Nov 21, 2026, 2:05:09 PM | 2:05:09 PM | 2:05 PM');
		expect(read('en', 'fr-FR', 'en-AU')).toBe('21 Nov 2026, 2:05:09 pm | 2:05:09 pm | 2:05 pm');
		// What browsers add for everybody is nobody's own.
		for (const languages of [['de-DE', 'de', 'en-US', 'en'], ['en'], ['fr'], []])
			expect(read('en', ...languages)).toBe(british);
		const german = '21.11.2026, 14:05:09 | 14:05:09 | 14:05';
		for (const languages of [['de-AT', 'en-US'], ['de'], ['en-US']])
			expect(read('de', ...languages)).toBe(german);
	});

	it('says how long', () => {
		const shown = [420, 12_000, 252_000, 11_100_000, 188_000_000].map((ms) => plain(duration(ms)));
		expect(shown).toEqual(['420 ms', '12 s', '4 m 12 s', '3 h 05 m', '2 d 4 h']);
		const set = [6_000, 300_000, 28_800_000, 5_400_000, 86_400_000].map((ms) => plain(plainDuration(ms)));
		expect(set).toEqual(['6 s', '5 min', '8 h', '1 h 30 min', '1 d']);
	});
});
