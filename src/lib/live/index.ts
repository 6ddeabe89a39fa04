// The live picture of the server, handed down by context to every page.

import { createContext } from 'svelte';
import type { Live } from './live.svelte';

export { eachMinute, renewed } from './each-minute.svelte';
export { Live } from './live.svelte';
export { apiSource } from './source';

export const [useLive, provideLive] = createContext<Live>();
