// Numbers and times as people read them, in the chosen language.

export { bytes, count, dollars, percent, tokens } from './numbers';
export { duration, exactTime, plainDuration, relativeTime, shortTime, startOfDay, timeOfDay } from './times';
export { clock } from './clock.svelte';
