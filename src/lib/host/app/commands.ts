// Written from the app's Rust types by `./dev test app`; do not edit.

export type PathKindName = 'lan' | 'tailscale' | 'cloudflare' | 'relay' | 'server';
export type AppCode = "unreachable" | "unreadable" | "no_server" | "not_an_address" | "other_certificate" | "keychain_locked" | "keychain_missing" | "passphrase_needed" | "passphrase_wrong" | "passphrase_weak" | "sign_in_denied" | "sign_in_expired" | "no_browser_sign_in" | "wrong_return" | "storage" | "program_failed" | "wrong_configuration" | "provider_failed" | "sign_in_again" | "no_link" | "not_believed" | "no_notifications" | "not_taken" | "locked" | "not_theirs" | "no_services" | "services_failed" | "services_stopped" | "push_unanswered" | "push_offline" | "push_waits" | "push_refused" | "update_failed" | "update_forged";
export type Failure = { 
/**
 * An [`AppCode`], or a problem code of the API.
 */
code: string, 
/**
 * In English; what happened, what was kept, what to do.
 */
message: string, 
/**
 * HTTP status; 0 when nobody answered.
 */
status: number, details: Record<string, unknown>, };
export type AskHead = { method: string, 
/**
 * With its query.
 */
path: string, headers: Array<[string, string]>, 
/**
 * Straight to this device; to the server when absent.
 */
device: string | null, };
export type AnswerHead = { status: number, headers: Array<[string, string]>, };
export type StreamHead = { number: number, answer: AnswerHead, };
export type StreamEnd = { failure: Failure | null, };
export type DevicePath = { 
/**
 * Absent while none is found.
 */
kind: PathKindName | null, 
/**
 * Only the device can read what is sent.
 */
end_to_end: boolean, address: string, 
/**
 * There and back.
 */
latency_ms: number | null, 
/**
 * What the device itself lets this app do; absent where the server speaks for it.
 */
level: 'view' | 'operate' | 'admin' | null, 
/**
 * Why there is none, or why it is not a better one.
 */
trouble: string | null, };
export type Tick = "threshold" | "done" | "warning";
export type PersonChecks = { 
/**
 * At the start, and when it comes back after a while.
 */
at_start: boolean, 
/**
 * Before what cannot be undone.
 */
before_acts: boolean, };
export type PhoneState = { 
/**
 * It is a phone or a tablet.
 */
phone: boolean, 
/**
 * It can tell who holds it.
 */
knows_person: boolean, checks: PersonChecks, 
/**
 * Nothing is shown before its person showed who they are.
 */
locked: boolean, };
export type Distributor = { id: string, 
/**
 * As its person knows it.
 */
name: string, };
export type PushRegistration = { 
/**
 * By its id; nothing where the system brings them.
 */
distributor: string | null, 
/**
 * What the server writes to, and for whom it seals.
 */
target: { kind: 'unified_push', endpoint: string, p256dh: string, auth: string, } | { kind: 'apns', token: string, mark?: string, }, };
export type PushState = { 
/**
 * Nothing where the system itself brings messages.
 */
distributors: Array<Distributor> | null, 
/**
 * That of the shown server.
 */
mine: PushRegistration | null, };
export type SaveState = { "kind": "running" } | { "kind": "paused" } | { "kind": "cut", failure: Failure, } | { "kind": "failed", failure: Failure, } | { "kind": "done" };
export type Save = { number: number, 
/**
 * What it is called; empty until that is known.
 */
name: string, 
/**
 * Bytes.
 */
received: number, 
/**
 * Bytes of all of it, where that is known.
 */
total: number | null, state: SaveState, };
export type KeptDrafts = { 
/**
 * Named again with each that is kept: another one may be shown by then.
 */
server: string, 
/**
 * By name.
 */
drafts: Array<[string, string]>, };
export type NewChange = { 
/**
 * Made with the change, so that it is made once.
 */
key: string, method: string, path: string, 
/**
 * JSON.
 */
body: string, 
/**
 * What it changes: changes of one thing are made one after the other or not at all.
 */
about: string, 
/**
 * For whoever shows it.
 */
label: unknown, };
export type WaitingChange = { place: number, 
/**
 * Milliseconds since the epoch.
 */
at: number, about: string, label: unknown, 
/**
 * What the server said to it; then it waits for a person.
 */
refused: Failure | null, };
export type Aside = { changes: number, drafts: number, };
export type KeptOutput = { 
/**
 * Of the first byte.
 */
start: number, 
/**
 * When it was seen, in milliseconds since the epoch.
 */
at: number, 
/**
 * Standard base64.
 */
data: string, };
export type TerminalNews = { "kind": "attached", path: PathKindName, } | { "kind": "state", state: unknown, } | { "kind": "gap", start: number, } | { "kind": "lost", message: string, } | { "kind": "ended", ended: unknown, } | { "kind": "failed", failure: Failure, };
export type Reading = "this_machine" | "encrypted" | "anybody";
export type ServerEntry = { id: string, name: string, address: string, 
/**
 * This app runs it.
 */
runs_here: boolean, selected: boolean, };
export type ServerList = { servers: Array<ServerEntry>, 
/**
 * Whether "Use this computer" can be offered.
 */
this_computer: boolean, };
export type ServerPreview = { address: string, host: string, reading: Reading, 
/**
 * SHA-256 of its certificate, 64 hexadecimal digits.
 */
fingerprint: string | null, 
/**
 * The link named a fingerprint, and it is this one.
 */
as_linked: boolean, needs_setup: boolean, };
export type SignInCode = { user_code: string, 
/**
 * Where it is approved.
 */
page: string, 
/**
 * Seconds until it is worth nothing.
 */
expires_in: number, };
export type Step = "server" | "account" | "join" | "agent";
export type ThisComputer = { 
/**
 * As services, which go on without the app.
 */
kept: boolean, 
/**
 * They run, as far as the system knows, and the server answers.
 */
running: boolean, 
/**
 * This system has services that a person may make without being its administrator, and they can be reached.
 */
possible: boolean, 
/**
 * Services go on when the person signs out of the computer.
 */
after_logout: boolean, 
/**
 * What an administrator types so that they do, where the system has such a thing.
 */
linger: string | null, };
export type AppNews = { "kind": "pair", link: string, } | { "kind": "open", page: string, } | { "kind": "enter", page: string, } | { "kind": "palette" };
export type QuietTime = { from: number, to: number, };
export type NoticeChoice = { on: boolean, kinds: Array<'offline' | 'online' | 'task_started' | 'task_finished' | 'task_failed' | 'gpu_memory'>, 
/**
 * Devices that nothing is told of.
 */
muted: Array<string>, quiet: QuietTime | null, };
export type NoticeState = { 
/**
 * The system shows them.
 */
available: boolean, 
/**
 * Who shows them, when that is known.
 */
by: string | null, buttons: boolean, 
/**
 * The system will ask the person at the first try.
 */
unasked: boolean, choice: NoticeChoice, };
export type AppChoice = { start_at_login: boolean, 
/**
 * Goes on when its window is closed.
 */
background: boolean, 
/**
 * Keys bring the palette from anywhere.
 */
shortcut: boolean, };
export type AppPreferences = { choice: AppChoice, 
/**
 * An icon brings a hidden window back.
 */
tray: boolean, 
/**
 * The keys, as they are written.
 */
keys: string, };
export type AppFacts = { version: string, protocol_version: number, system: string, 
/**
 * It can look for newer ones.
 */
updates: boolean, };
export type SignInConfiguration = { id: string, name: string, flow: 'device' | 'browser', issuer: string, authorization_endpoint: string, device_authorization_endpoint: string, token_endpoint: string, revocation_endpoint: string, client_id: string, 
/**
 * With blanks in between.
 */
scopes: string, 
/**
 * Where a server can use the token; only of one's own providers.
 */
api_address: string, };
export type SignInOnDevice = { program: string, sign_in: Array<string>, sign_out: Array<string>, 
/**
 * Prints whether somebody is signed in.
 */
status: Array<string> | null, };
export type ProviderSignIn = { id: string, name: string, 
/**
 * Anthropic's terms have to be said.
 */
terms: boolean, 
/**
 * Somebody has said as which client to sign in.
 */
configured: boolean, 
/**
 * It came with the app: it can be filled in, and not removed.
 */
shipped: boolean, state: 'signed_out' | 'signed_in' | 'ended', under_way: boolean, 
/**
 * Milliseconds since the epoch.
 */
signed_in_at: number | null, expires_at: number | null, 
/**
 * The app gets a new token before the old one ends.
 */
renews: boolean, 
/**
 * The name of the server that has the token.
 */
in_vault_of: string | null, 
/**
 * That server is the one that is shown.
 */
in_vault_here: boolean, 
/**
 * A server could take it.
 */
fits_vault: boolean, 
/**
 * An API key does instead.
 */
api_key: boolean, on_device: SignInOnDevice | null, configuration: SignInConfiguration, };
export type ProviderStep = { "kind": "code", user_code: string, page: string, 
/**
 * Seconds until it is worth nothing.
 */
expires_in: number, } | { "kind": "browser" };
export type UpdateOffer = { version: string, notes: string | null, };
export type UpdateProgress = { done: number, 
/**
 * Absent when it was not said.
 */
all: number | null, };
