import { describe, expect, it } from 'vitest';

type Catalogue = Record<string, unknown>;

const files = import.meta.glob<Catalogue>('/messages/*/*.json', { eager: true, import: 'default' });
const of = (locale: string) =>
	Object.entries(files).filter(([path]) => path.startsWith(`/messages/${locale}/`));
const merged = (locale: string): Catalogue => {
	const entries = of(locale).flatMap(([, catalogue]) => Object.entries(catalogue));
	return Object.fromEntries(entries.filter(([key]) => key !== '$schema'));
};
/** The names in braces, which the code passes. */
const inputs = (message: unknown) => [...new Set(JSON.stringify(message).match(/\{\w+\}/g) ?? [])].sort();

describe('the catalogue', () => {
	const english = merged('en');
	const german = merged('de');

	it('is there at all', () => {
		expect(Object.keys(english).length).toBeGreaterThan(100);
	});

	it('says everything in both languages', () => {
		expect(Object.keys(german).sort()).toEqual(Object.keys(english).sort());
	});

	it('has each message in one file only', () => {
		const keys = of('en').flatMap(([, catalogue]) =>
			Object.keys(catalogue).filter((key) => key !== '$schema')
		);
		expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
	});

	it('takes the same inputs in both, and is never empty', () => {
		for (const [key, message] of Object.entries(english)) {
			expect(inputs(german[key]), key).toEqual(inputs(message));
			expect(message, key).not.toBe('');
			expect(german[key], key).not.toBe('');
		}
	});
});
