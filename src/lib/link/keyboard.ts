// The height that the on-screen keyboard leaves, for pages that fill it: phones do not shrink the page for it, they
// only cover it. While it is up the bar at the bottom makes room.

/** Less of the window than this is left when a keyboard is up. */
const COVERED = 0.78;

export function keepAboveKeyboard(): () => void {
	const view = window.visualViewport;
	const root = document.documentElement;
	if (!view || !matchMedia('(pointer: coarse)').matches) return () => {};

	function fit() {
		const up = view!.height < window.innerHeight * COVERED;
		root.style.setProperty('--visible-height', `${Math.round(view!.height)}px`);
		root.toggleAttribute('data-keyboard', up);
		// Some phones push the page up besides.
		if (up && window.scrollY > 0) window.scrollTo(0, 0);
	}

	fit();
	view.addEventListener('resize', fit);
	view.addEventListener('scroll', fit);
	return () => {
		view.removeEventListener('resize', fit);
		view.removeEventListener('scroll', fit);
		root.style.removeProperty('--visible-height');
		root.removeAttribute('data-keyboard');
	};
}
