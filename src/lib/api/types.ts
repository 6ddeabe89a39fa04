// The wire types by the names the dashboard uses. Optional fields may also be null.

type Opt<T> = T | null | undefined;

export type Millis = number;
export type Role = 'viewer' | 'operator' | 'admin' | 'owner';
export type DeviceType = 'gpu_compute' | 'inference' | 'llm_endpoint';
export type DeviceStatus = 'pending' | 'online' | 'offline';
export type TaskState = 'queued' | 'running' | 'succeeded' | 'failed' | 'stopped' | 'lost' | 'refused';

export interface Page<T> {
	items: T[];
	next?: Opt<string>;
}

export interface SetupState {
	needed: boolean;
}
export interface SetupRequest {
	code: string;
	name: string;
	password: string;
}
export type SignIn = { name: string; password: string } | { ticket: string };
export interface Me {
	user_id?: Opt<string>;
	name: string;
	role: Role;
	tenant: string;
	has_password: boolean;
}
export interface ChangePassword {
	current?: Opt<string>;
	new: string;
}
export interface ApiToken {
	id: string;
	name: string;
	role: Role;
	created_at: Millis;
	last_used_at?: Opt<Millis>;
}
export interface CreateApiToken {
	name: string;
	role: Role;
}
export interface CreatedApiToken {
	token: ApiToken;
	secret: string;
}
export interface ServerInfo {
	version: string;
	protocol_version: number;
	database: string;
	public_url: string;
	server_time: Millis;
	heartbeat_s: number;
	offline_after_s: number;
}

export interface Cpu {
	model: string;
	physical_cores: number;
	logical_cores: number;
}
export interface Gpu {
	name: string;
	memory_total?: Opt<number>;
	unified_memory: boolean;
	driver?: Opt<string>;
	compute_capability?: Opt<string>;
}
export interface OllamaModel {
	name: string;
	size: number;
}
export interface Ollama {
	version: string;
	endpoint: string;
	models: OllamaModel[];
}
export interface SkippedProbe {
	probe: string;
	reason: string;
}
export interface Capabilities {
	hostname: string;
	os: string;
	kernel: string;
	arch: string;
	cpu: Cpu;
	memory_total: number;
	disk_total: number;
	gpus: Gpu[];
	cuda?: Opt<string>;
	tensorrt?: Opt<string>;
	isaac_lab?: Opt<string>;
	python?: Opt<string>;
	docker?: Opt<string>;
	board?: Opt<string>;
	l4t?: Opt<string>;
	ollama?: Opt<Ollama>;
	skipped: SkippedProbe[];
	probed_at: Millis;
}
export interface Policy {
	allow_bash: boolean;
	allow_file_read: boolean;
	allow_file_write: boolean;
	allow_logs: boolean;
	allowed_paths: string[];
	blocked_paths: string[];
}
export interface Temperature {
	label: string;
	celsius: number;
}
export interface GpuSample {
	index: number;
	utilization_percent?: Opt<number>;
	memory_used?: Opt<number>;
	memory_total?: Opt<number>;
	celsius?: Opt<number>;
	power_w?: Opt<number>;
}
export interface Sample {
	cpu_percent: number;
	load1?: Opt<number>;
	memory_used: number;
	memory_total: number;
	disk_used: number;
	disk_total: number;
	net_rx: number;
	net_tx: number;
	temperatures?: Temperature[];
	gpus?: GpuSample[];
	running_tasks: number;
	loaded_models?: string[];
	uptime_s: number;
}
export interface TimedSample {
	at: Millis;
	sample: Sample;
}

export interface Device {
	id: string;
	owner?: Opt<string>;
	name: string;
	type: DeviceType;
	tunnel_id?: Opt<string>;
	tunnel_hostname?: Opt<string>;
	capabilities?: Opt<Capabilities>;
	policy?: Opt<Policy>;
	status: DeviceStatus;
	status_since: Millis;
	last_seen_at?: Opt<Millis>;
	created_at: Millis;
	agent_version?: Opt<string>;
	protocol_version?: Opt<number>;
	gpu_memory_high?: boolean;
	running_tasks?: number;
	queued_tasks?: number;
	latest?: Opt<Sample>;
	token_expires_at?: Opt<Millis>;
	version: number;
}
export interface CreateDevice {
	name: string;
	type: DeviceType;
}
export interface UpdateDevice {
	name?: Opt<string>;
	type?: Opt<DeviceType>;
}
export interface ConnectionToken {
	device: Device;
	token: string;
	expires_at: Millis;
	install_command: string;
	connect_command: string;
}

export type TaskCommand = { program: string; args?: string[] } | { shell: string };
export type TaskSpec = TaskCommand & {
	cwd?: Opt<string>;
	env?: Record<string, string>;
	timeout_s?: Opt<number>;
};
export interface Task {
	id: string;
	device_id: string;
	command: TaskCommand;
	cwd?: Opt<string>;
	env_names?: string[];
	timeout_s?: Opt<number>;
	state: TaskState;
	reason?: Opt<string>;
	exit_code?: Opt<number>;
	signal?: Opt<number>;
	requested_by: Actor;
	created_at: Millis;
	started_at?: Opt<Millis>;
	ended_at?: Opt<Millis>;
	stop_requested_at?: Opt<Millis>;
	output_bytes: number;
	output_start: number;
	output_total?: Opt<number>;
	version: number;
}
export interface StopAllAnswer {
	stopping: number;
}

export type Actor =
	| { kind: 'user'; id: string; name: string }
	| { kind: 'token'; id: string; name: string }
	| { kind: 'device'; id: string; name: string }
	| { kind: 'host' }
	| { kind: 'system' }
	| { kind: 'anonymous' };

type DeviceEventType =
	| 'device.created'
	| 'device.token.created'
	| 'device.connected'
	| 'device.disconnected'
	| 'device.online'
	| 'device.offline'
	| 'device.updated'
	| 'device.probe_requested';
type GpuEventType = 'device.gpu_memory.high' | 'device.gpu_memory.normal';
type TaskEventType =
	| 'device.task.queued'
	| 'device.task.started'
	| 'device.task.stop_requested'
	| 'device.task.completed'
	| 'device.task.failed'
	| 'device.task.stopped'
	| 'device.task.lost'
	| 'device.task.refused';
type UserEventType = 'user.password_changed' | 'session.created' | 'session.ended';

/** What happened: the event's name and its payload. A newer server may send names not listed here. */
export type Event =
	| { type: DeviceEventType; data: { device: Device } }
	| { type: GpuEventType; data: { device: Device; percent: number } }
	| { type: 'device.deleted'; data: { device_id: string; name: string } }
	| { type: TaskEventType; data: { task: Task } }
	| { type: 'user.created'; data: { user_id: string; name: string; role: Role } }
	| { type: UserEventType; data: { user_id: string; name: string } }
	| { type: 'sign_in.failed'; data: { name: string } }
	| { type: 'api_token.created'; data: { token_id: string; name: string; role: Role } }
	| { type: 'api_token.revoked'; data: { token_id: string; name: string } };
export type EventType = Event['type'];
export type EventRecord = Event & {
	cursor: number;
	at: Millis;
	actor: Actor;
	source?: Opt<string>;
	hash: string;
};
export interface AuditVerification {
	intact: boolean;
	checked: number;
	broken_at?: Opt<number>;
}

export type ProblemCode =
	| 'unauthenticated'
	| 'forbidden'
	| 'not_found'
	| 'invalid_request'
	| 'too_large'
	| 'rate_limited'
	| 'connection_token_invalid'
	| 'device_gone'
	| 'setup_done'
	| 'setup_code_wrong'
	| 'sign_in_failed'
	| 'host_not_allowed'
	| 'output_offset'
	| 'protocol_too_old'
	| 'conflict'
	| 'limit_reached'
	| 'storage_unavailable'
	| 'unavailable'
	| 'internal';
export interface Problem {
	type: string;
	status: number;
	code: ProblemCode;
	detail: string;
	details?: Opt<Record<string, unknown>>;
}

export interface StreamReady {
	cursor: number;
	server_time: Millis;
	version: string;
}
export interface StreamSample {
	device_id: string;
	at: Millis;
	sample: Sample;
}
export interface StreamPing {
	server_time: Millis;
}
export interface OutputChunk {
	offset: number;
	/** Base64. */
	data: string;
}
export interface OutputGap {
	from: number;
	to: number;
}

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
