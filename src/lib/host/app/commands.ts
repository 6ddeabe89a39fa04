// Written from the app's Rust types by `./dev test app`; do not edit.

export type PathKindName = 'lan' | 'tailscale' | 'cloudflare' | 'relay' | 'server';
export type AppCode = "unreachable" | "unreadable" | "no_server" | "not_an_address" | "other_certificate" | "keychain_locked" | "keychain_missing" | "sign_in_denied" | "sign_in_expired" | "storage" | "program_failed" | "no_link";
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
 * Why there is none, or why it is not a better one.
 */
trouble: string | null, };
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
export type AppNews = { "kind": "pair", link: string, } | { "kind": "open", page: string, };
