// The app's side of the door: everything goes through commands of the program around the page, which holds the tokens
// and reaches devices directly. Nothing here touches the network.

export { send } from './send';
export { AppTerminal } from './terminal';
export { watchPath } from './paths';
export * as phone from './phone';
export * as drafts from './drafts';
export * as outbox from './outbox';
export { keptOutput } from './outputs';
export * as preferences from './preferences';
export * as providers from './providers';
export { locked } from './locked.svelte';
export { secretsNeeded } from './secrets-needed.svelte';
export * as saves from './saves';
export * as servers from './servers';
export { listen, openOutside, type AppNews } from './shell';
export * as updates from './updates';
