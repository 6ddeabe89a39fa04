// The wire types by the names the dashboard uses. They are generated: `npm run gen`.

import type { components } from './schema';

type Schemas = components['schemas'];

/** Since the Unix epoch, UTC. */
export type Millis = number;

export interface Page<T> {
	items: T[];
	next?: string | null;
}

export type Role = Schemas['Role'];
export type Me = Schemas['Me'];
export type SetupState = Schemas['SetupState'];
export type ApiToken = Schemas['ApiToken'];
export type CreatedApiToken = Schemas['CreatedApiToken'];
export type ServerInfo = Schemas['ServerInfo'];

export type DeviceType = Schemas['DeviceType'];
export type DeviceStatus = Schemas['DeviceStatus'];
export type Device = Schemas['Device'];
export type ConnectionToken = Schemas['ConnectionToken'];
export type Capabilities = Schemas['Capabilities'];
export type Gpu = Schemas['Gpu'];
export type Policy = Schemas['Policy'];
export type Sample = Schemas['Sample'];
export type GpuSample = Schemas['GpuSample'];
export type TimedSample = Schemas['TimedSample'];

export type TaskState = Schemas['TaskState'];
export type TaskCommand = Schemas['TaskCommand'];
export type TaskSpec = Schemas['TaskSpec'];
export type TaskModels = Schemas['TaskModels'];
export type Task = Schemas['Task'];
export type StopAllAnswer = Schemas['StopAllAnswer'];

export type Level = Schemas['Level'];
export type DeviceLink = Schemas['DeviceLink'];
export type CarriedGrant = Schemas['CarriedGrant'];
export type DeviceCodeRequest = Schemas['DeviceCodeRequest'];
export type AuthorizationRequest = Schemas['AuthorizationRequest'];
export type AuthorizationLook = Schemas['AuthorizationLook'];
export type Terminal = Schemas['Terminal'];
export type TerminalState = Schemas['TerminalState'];
export type TerminalEnded = Schemas['TerminalEnded'];
export type OpenTerminal = Schemas['OpenTerminal'];
export type UpdateTerminal = Schemas['UpdateTerminal'];
export type FileEntry = Schemas['FileEntry'];
export type FileKind = Schemas['FileKind'];
export type FileRoots = Schemas['FileRoots'];
export type GitStatus = Schemas['GitStatus'];
export type SearchHit = Schemas['SearchHit'];
export type SearchEnd = Schemas['SearchEnd'];
export type Trashed = Schemas['Trashed'];
export type Upload = Schemas['Upload'];
export type LogSource = Schemas['LogSource'];
export type LogSources = Schemas['LogSources'];
export type LogReason = Schemas['LogReason'];
export type LogEnd = Schemas['LogEnd'];
export type LogLine = Schemas['LogLine'];
export type LogLevel = Schemas['LogLevel'];

export type VaultStatus = Schemas['VaultStatus'];
export type VaultKey = Schemas['VaultKey'];
export type VaultFile = Schemas['VaultFile'];
export type VaultImported = Schemas['VaultImported'];

export type Provider = Schemas['Provider'];
export type ProviderKind = Schemas['ProviderKind'];
export type ProviderState = Schemas['ProviderState'];
export type ProviderHealth = Schemas['ProviderHealth'];
export type ProviderFault = Schemas['ProviderFault'];
export type AddProvider = Schemas['AddProvider'];
export type UpdateProvider = Schemas['UpdateProvider'];
export type UseFor = Schemas['UseFor'];
export type Routing = Schemas['Routing'];
export type RoutingProfile = Schemas['RoutingProfile'];
export type RoutingOrder = Schemas['RoutingOrder'];
export type SpendCaps = Schemas['SpendCaps'];
export type Model = Schemas['Model'];
export type UpdateModel = Schemas['UpdateModel'];
export type PullProgress = Schemas['PullProgress'];
export type RunningPull = Schemas['RunningPull'];
export type Route = Schemas['Route'];
export type RouteReason = Schemas['RouteReason'];
export type RouteMiss = Schemas['RouteMiss'];
export type MissCause = Schemas['MissCause'];
export type WaitedFor = Schemas['WaitedFor'];
export type ExplainRoute = Schemas['ExplainRoute'];
export type RouteExplained = Schemas['RouteExplained'];
export type RoutingNow = Schemas['RoutingNow'];
export type ProviderAway = Schemas['ProviderAway'];
export type UnfitBecause = Schemas['UnfitBecause'];
export type AddModelKey = Schemas['AddModelKey'];
export type ModelKeyCreated = Schemas['ModelKeyCreated'];
export type UsageSum = Schemas['UsageSum'];
export type UsageReport = Schemas['UsageReport'];
export type UsageMiss = Schemas['UsageMiss'];
export type ModelKey = Schemas['ModelKey'];
export type CapPeriod = Schemas['CapPeriod'];

export type PushOffer = Schemas['PushOffer'];
export type PushChoice = Schemas['PushChoice'];
export type PushDetail = Schemas['PushDetail'];
export type PushReceiver = Schemas['PushReceiver'];
export type PushFailure = Schemas['PushFailure'];
export type CreatePushReceiver = Schemas['CreatePushReceiver'];

export type Actor = Schemas['Actor'];
export type Event = Schemas['Event'];
/** A newer server may send types that are not listed here. */
export type EventType = Event['type'];
export type EventRecord = Schemas['EventRecord'];
export type AuditVerification = Schemas['AuditVerification'];

export type ProblemCode = Schemas['ProblemCode'];
export type ProblemReason = Schemas['ProblemReason'];
export type Problem = Schemas['Problem'];

export type StreamReady = Schemas['StreamReady'];
export type StreamProvider = Schemas['StreamProvider'];
export type StreamSample = Schemas['StreamSample'];
export type StreamPing = Schemas['StreamPing'];
export type OutputChunk = Schemas['OutputChunk'];
export type OutputGap = Schemas['OutputGap'];

/** Ended for good: nothing more will happen to this task. */
export function isFinal(state: TaskState): boolean {
	return state !== 'queued' && state !== 'running';
}

/** One line for people: what the task runs. */
export function commandLine(command: TaskCommand): string {
	return 'shell' in command
		? (command.shell.split('\n', 1)[0] ?? '')
		: [command.program, ...(command.args ?? [])].join(' ');
}
