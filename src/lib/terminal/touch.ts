// A finger scrolls the terminal by whole lines, with a glide after a flick. It never pulls the page along.

/** How much of its speed a flick keeps with each frame. */
const GLIDE = 0.94;
/** px a frame: slower than this it stands. */
const STILL = 0.4;

export function scrollByTouch(
	element: HTMLElement,
	cellHeight: () => number,
	scroll: (lines: number) => void
): () => void {
	let lastY: number | undefined;
	let speed = 0;
	let rest = 0;
	let frame = 0;
	let lastAt = 0;

	function by(pixels: number) {
		rest += pixels;
		const cell = Math.max(8, cellHeight());
		const lines = Math.trunc(rest / cell);
		if (lines === 0) return;
		rest -= lines * cell;
		scroll(lines);
	}

	function start(event: TouchEvent) {
		cancelAnimationFrame(frame);
		lastY = event.touches.length === 1 ? event.touches[0]!.clientY : undefined;
		lastAt = event.timeStamp;
		speed = rest = 0;
	}

	function move(event: TouchEvent) {
		if (lastY === undefined) return;
		const y = event.touches[0]!.clientY;
		if (event.cancelable) event.preventDefault();
		speed = ((lastY - y) / Math.max(1, event.timeStamp - lastAt)) * 16;
		by(lastY - y);
		lastY = y;
		lastAt = event.timeStamp;
	}

	function end(event: TouchEvent) {
		lastY = undefined;
		if (event.timeStamp - lastAt > 60) speed = 0;
		frame = requestAnimationFrame(glide);
	}

	function glide() {
		if (Math.abs(speed) < STILL) return;
		by(speed);
		speed *= GLIDE;
		frame = requestAnimationFrame(glide);
	}

	element.addEventListener('touchstart', start, { passive: true });
	element.addEventListener('touchmove', move, { passive: false });
	element.addEventListener('touchend', end, { passive: true });
	element.addEventListener('touchcancel', end, { passive: true });
	return () => {
		cancelAnimationFrame(frame);
		element.removeEventListener('touchstart', start);
		element.removeEventListener('touchmove', move);
		element.removeEventListener('touchend', end);
		element.removeEventListener('touchcancel', end);
	};
}
