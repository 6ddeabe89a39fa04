// Changes made while the server is away.

export { wordsOf, type Label } from './labels';
export { isAway, nowOrLater, waiting, type Change, type Waits } from './waiting.svelte';
export { default as WaitingList } from './WaitingList.svelte';
export { default as WaitingNote } from './WaitingNote.svelte';
