// The chosen language: the browser's until somebody chooses, then kept on this device.
// Messages read it through `overwriteGetLocale`, so templates follow a change without a reload.

import { baseLocale, isLocale, locales, overwriteGetLocale, type Locale } from '$lib/paraglide/runtime.js';
import { keep, kept } from '$lib/host/storage';

export type Language = Locale;

const KEY = 'foreman.locale';

class LanguageChoice {
	#current = $state<Language>(firstChoice());

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

function firstChoice(): Language {
	const chosen = kept(KEY);
	if (isLocale(chosen)) return chosen;
	const browsers = typeof navigator === 'undefined' ? '' : navigator.language.slice(0, 2);
	return isLocale(browsers) ? browsers : baseLocale;
}

export const language = new LanguageChoice();

overwriteGetLocale(() => language.current);
