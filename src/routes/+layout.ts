import { ready } from '$lib/host';

// One static page for every address: the dashboard is drawn in the browser, from the API.
export const ssr = false;
export const prerender = false;
export const trailingSlash = 'never';

/** In the app its side of the door is fetched before the first page asks for anything. */
export const load = ready;
