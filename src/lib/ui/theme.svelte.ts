// System, light or dark. `/theme.js` applies the kept choice before the first paint; this changes it later.

import { forget, keep, kept } from '$lib/host/storage';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'foreman.theme';

class ThemeChoice {
	#current = $state<Theme>(read());

	get current(): Theme {
		return this.#current;
	}

	choose(theme: Theme): void {
		this.#current = theme;
		if (theme === 'system') {
			forget(KEY);
			delete document.documentElement.dataset.theme;
		} else {
			keep(KEY, theme);
			document.documentElement.dataset.theme = theme;
		}
	}
}

function read(): Theme {
	const value = kept(KEY);
	return value === 'light' || value === 'dark' ? value : 'system';
}

export const theme = new ThemeChoice();
