// The only door out of the dashboard: requests, live streams and what the machine offers. In the browser it is
// `fetch`; in the app another implementation stands behind the same names. Nothing else talks to the network.

export { answer, request } from './request';
export { attend } from './attend';
export {
	answerWorker,
	askForPush,
	browserName,
	pushAbility,
	pushFingerprint,
	pushTarget,
	subscribeToPush,
	unsubscribeFromPush,
	type PushAbility,
	type PushTarget
} from './browser-push';
export { ProblemError, problemOf, type FailureCode } from './problem';
export {
	subscribe,
	type LinkState,
	type Subscription,
	type StreamMessage,
	type SubscribeOptions
} from './subscribe';
export {
	device,
	type AttachOptions,
	type CallOptions,
	type DeviceDoor,
	type DevicePath,
	type TerminalDoor
} from './device';
export { isOld, lastKnown } from './last-known.svelte';
export { native, type Tick } from './native';
export { picture, save, saveContent, type ShownPicture } from './save';
export { forget, keep, kept } from './storage';
export { app, inApp, ready } from './transport';
export { typed } from './typed';
export type { AppChoice, AppFacts, AppPreferences, NoticeChoice, NoticeState } from './app/preferences';
export type { ProviderSignIn, ProviderStep, SignInConfiguration, SignInOnDevice } from './app/providers';
export type { Aside } from './app/outbox';
export type { Save, SaveState } from './app/saves';
export type { PersonChecks, PhoneState, PushState } from './app/phone';
export type { AppNews } from './app/shell';
export type { UpdateOffer } from './app/updates';
export type { ServerEntry, ServerList, ServerPreview, SignInCode, Step, ThisComputer } from './app/servers';
