// The chosen language: the browser's until somebody chooses, then kept on this device; and how its readers write
// dates and numbers, which the browser knows better than the language does.
// Messages read it through `overwriteGetLocale`, so templates follow a change without a reload.

import { baseLocale, isLocale, locales, overwriteGetLocale, type Locale } from '$lib/paraglide/runtime.js';
import { keep, kept } from '$lib/host/storage';

export type Language = Locale;

const KEY = 'foreman.locale';

class LanguageChoice {
	#current = $state<Language>(firstChoice());
	/** How dates, times and numbers are written: for `Intl`, wherever something is formatted. */
	readonly formats = $derived(formatsOf(this.#current, browserLanguages()));

	readonly all = locales;

	get current(): Language {
		return this.#current;
	}

	choose(language: Language): void {
		this.#current = language;
		keep(KEY, language);
		document.documentElement.lang = language;
	}
}

/** Each language as it is written where nothing else is known. Plain `en` would be the dates of the United States. */
const USUAL: Record<Language, string> = { en: 'en-GB', de: 'de-DE' };

/**
 * The reader's own way to write this language, by what their browser says that they read, the best first.
 * `en-US` counts only before all other languages: browsers put it behind those of people who never asked for it.
 */
export function formatsOf(language: Language, browsers: readonly string[]): string {
	for (const [index, tag] of browsers.entries()) {
		const [, itself, region] = /^([a-z]{2})(?:-[a-z]{4})?-([a-z]{2}|\d{3})(?:-|$)/i.exec(tag) ?? [];
		if (!region || itself?.toLowerCase() !== language) continue;
		const own = `${language}-${region.toUpperCase()}`;
		const first = browsers.slice(0, index).every((before) => before.toLowerCase().startsWith('en'));
		if (own !== 'en-US' || first) return own;
	}
	return USUAL[language];
}

function browserLanguages(): readonly string[] {
	return typeof navigator === 'undefined' ? [] : navigator.languages;
}

function firstChoice(): Language {
	const chosen = kept(KEY);
	if (isLocale(chosen)) return chosen;
	const browsers = typeof navigator === 'undefined' ? '' : navigator.language.slice(0, 2);
	return isLocale(browsers) ? browsers : baseLocale;
}

export const language = new LanguageChoice();

overwriteGetLocale(() => language.current);
