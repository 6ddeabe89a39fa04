// The only door out of the dashboard: requests, live streams and what the machine offers. In the browser it is
// `fetch`; in the app another implementation stands behind the same names. Nothing else talks to the network.

export { answer, request } from './request';
export { ProblemError, problemOf, type FailureCode } from './problem';
export {
	subscribe,
	type LinkState,
	type Subscription,
	type StreamMessage,
	type SubscribeOptions
} from './subscribe';
export { device, type AttachOptions, type CallOptions, type DeviceDoor } from './device';
export { native } from './native';
export { forget, keep, kept } from './storage';
export type { TerminalLink } from './terminal-link';
