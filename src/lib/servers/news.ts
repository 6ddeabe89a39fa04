// What the app around the page has to say: links that were opened. A link only leads to a page, which asks.

import { goto } from '$app/navigation';
import { app, inApp } from '$lib/host';
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
		}
	});
}
