// A device's measurements each second while somebody looks at its page. Where that cannot be had, those that its
// server hears go on as before, and nothing is said about it.

import type { Sample } from '$lib/api/types';
import { device, type Subscription } from '$lib/host';

export function everySecond(id: string, take: (sample: Sample) => void): () => void {
	let stream: Subscription | undefined;

	function look() {
		const seen = document.visibilityState === 'visible';
		if (seen && !stream) {
			stream = device(id).stream(
				'/metrics',
				{},
				{
					message: ({ event, data }) => {
						if (event === 'sample') take(JSON.parse(data) as Sample);
					}
				}
			);
		} else if (!seen) {
			stream?.close();
			stream = undefined;
		}
	}

	look();
	document.addEventListener('visibilitychange', look);
	return () => {
		document.removeEventListener('visibilitychange', look);
		stream?.close();
	};
}
