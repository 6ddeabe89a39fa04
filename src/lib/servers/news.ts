// What the app around the page has to say: links that were opened, and keys
// that were pressed elsewhere. A link only leads to a page, which asks.

import { goto } from '$app/navigation';
import { app, inApp } from '$lib/host';
import { palette } from './palette.svelte';
import { pairing } from './pairing.svelte';

export function hearNews(): void {
	if (!inApp) return;
	void app().listen((news) => {
		switch (news.kind) {
			case 'pair':
				pairing.link = news.link;
				return void goto('/welcome');
			case 'open':
				return void goto(news.page);
			case 'enter':
				// From the beginning, so that nothing of another server is left in the page.
				return location.assign(news.page);
			case 'palette':
				return void (palette.calls += 1);
		}
	});
}
