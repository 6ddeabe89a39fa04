import { describe, expect, it } from 'vitest';
import { formatsOf } from './language.svelte';

describe('how a language is written', () => {
	it('is what the reader has', () => {
		expect(formatsOf('en', ['en-nz'])).toBe('en-NZ');
		expect(formatsOf('en', ['de-DE', 'en-IE', 'en-US'])).toBe('en-IE');
		expect(formatsOf('en', ['en', 'en-US'])).toBe('en-US');
		expect(formatsOf('en', ['en-Latn-CA'])).toBe('en-CA');
		expect(formatsOf('de', ['en-US', 'de-CH'])).toBe('de-CH');
	});

	it('is not what browsers put there for everybody, nor what no browser can write', () => {
		expect(formatsOf('en', ['sv-SE', 'en-US', 'en'])).toBe('en-GB');
		for (const tags of [[], [''], ['C'], ['en_US.UTF-8'], ['en-'], ['en']])
			expect(formatsOf('en', tags)).toBe('en-GB');
		expect(formatsOf('de', ['en-US', 'de'])).toBe('de-DE');
	});
});
