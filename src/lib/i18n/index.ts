// Words in the reader's language. `m` holds every string; changing the locale redraws what uses it.

export { m } from '$lib/paraglide/messages.js';
export { language, type Language } from './language.svelte';
