// Runs before the first paint, so that neither theme nor language flashes. Keep it tiny: it blocks the page.
(function () {
	try {
		var root = document.documentElement;
		var theme = localStorage.getItem('foreman.theme');
		if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
		var locale = localStorage.getItem('foreman.locale') || navigator.language.slice(0, 2);
		root.lang = locale === 'de' ? 'de' : 'en';
	} catch {
		// Storage is switched off: the system's theme and English it is.
	}
})();
