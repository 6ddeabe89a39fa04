// One static page for every address: the dashboard is drawn in the browser, from the API.
export const ssr = false;
export const prerender = false;
export const trailingSlash = 'never';
