// Notifications and the tray speak the language of the dashboard.

import { app, inApp } from '$lib/host';
import type { Language } from '$lib/i18n';

export function tellLanguage(language: Language): void {
	// The next start tells it again.
	if (inApp)
		void app()
			.preferences.speak(language)
			.catch(() => {});
}
