// What the server knows, kept current: open the stream, wait for `ready`, take a snapshot, then apply events.
// Each device and task carries the cursor of its last event, so an event that is already included is skipped,
// and nothing is missed or applied twice however often the stream breaks.

import { SvelteMap } from 'svelte/reactivity';
import type {
	Device,
	EventRecord,
	Sample,
	ServerInfo,
	StreamPing,
	StreamProvider,
	StreamReady,
	StreamSample,
	Task,
	TimedSample
} from '$lib/api/types';
import { isFinal } from '$lib/api/types';
import { clock } from '$lib/format';
import { problemOf, type LinkState, type ProblemError, type StreamMessage } from '$lib/host';
import { withHistory, withSample } from './ring';
import type { Source } from './source';

/** Ended tasks beyond this are let go, oldest first: a dashboard left open for weeks must not grow. */
const KEPT_TASKS = 500;
/** Devices report every ten seconds, each in its own. What is drawn for each of ten alone draws the window ten times as
often, and where no graphics card draws it, that is nearly all that an idle window costs. */
export const PACE_MS = 5000;
const byName = new Intl.Collator(undefined, { numeric: true });
/** What a sparkline shows. */
const HISTORY_MS = 10 * 60_000;

/** Of what the stream tells once and never again. */
export interface ProviderWatcher {
	changed(told: StreamProvider): void;
	/** The stream begins anew: what was told meanwhile was told to others. */
	missed(): void;
}

export class Live {
	link = $state<LinkState>({ kind: 'connecting', since: Date.now() });
	/** The first snapshot is here: an empty list now means there is nothing. */
	ready = $state(false);
	/** Why the snapshot could not be taken; it is tried again when the stream comes back. */
	problem = $state<ProblemError>();
	server = $state<ServerInfo>();
	/** The version the stream announced last; another than at first means the dashboard is outdated. */
	serverVersion = $state<string>();
	/** Round trip to the server in ms. */
	latency = $state<number>();
	readonly devices = new SvelteMap<string, Device>();
	/** Every queued or running task, and the newest ended ones. */
	readonly tasks = new SvelteMap<string, Task>();
	readonly samples = new SvelteMap<string, TimedSample[]>();

	/** By name, as people look for them. */
	readonly deviceList = $derived(
		[...this.devices.values()].sort((a, b) => byName.compare(a.name, b.name) || (a.id < b.id ? -1 : 1))
	);
	/** Newest first. Ids begin with their time, so they sort by it. */
	readonly taskList = $derived(
		[...this.tasks.values()].sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1))
	);
	readonly activeTasks = $derived(this.taskList.filter((task) => !isFinal(task.state)));
	readonly runningTasks = $derived(this.taskList.filter((task) => task.state === 'running'));

	#source: Source;
	#subscription: ReturnType<Source['subscribe']> | undefined;
	#historyAsked = new Set<string>();
	#due: (() => void)[] = [];
	#pace: ReturnType<typeof setTimeout> | undefined;
	#sameTurn = false;
	#deleted = new Map<string, number>();
	#listeners = new Set<(event: EventRecord) => void>();
	#watchers = new Set<ProviderWatcher>();
	#snapshotting: Promise<void> | undefined;
	#stale = false;
	/** What the snapshot said was last known and not asked now. */
	#old = false;

	constructor(source: Source) {
		this.#source = source;
	}

	start(): void {
		this.#subscription ??= this.#source.subscribe({
			message: (message) => this.#message(message),
			link: (state) => {
				this.link = state;
				// Nobody answered so far, but there may be what was last known.
				const gone = state.kind === 'reconnecting' || state.kind === 'offline';
				if (gone && this.#source.keeps && !this.ready && !this.#snapshotting) void this.#snapshot();
			}
		});
	}

	stop(): void {
		this.#subscription?.close();
		clearTimeout(this.#pace);
		this.#pace = undefined;
		this.#sameTurn = false;
		this.#subscription = undefined;
	}

	/** Connects at once instead of waiting for the next try. */
	retry(): void {
		this.#subscription?.reconnect();
	}

	/** Every event from now on, for views that show the log itself. Returns how to stop. */
	listen(listener: (event: EventRecord) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** How providers of models do, as it changes. Returns how to stop. */
	watchProviders(watcher: ProviderWatcher): () => void {
		this.#watchers.add(watcher);
		return () => this.#watchers.delete(watcher);
	}

	/** Takes in a device from an answer to a request; older than known is ignored. */
	putDevice(device: Device): void {
		const known = this.devices.get(device.id);
		if (known && known.version > device.version) return;
		if ((this.#deleted.get(device.id) ?? -1) >= device.version) return;
		// Events carry no measurement: keep the newest one known.
		this.devices.set(device.id, { ...device, latest: device.latest ?? known?.latest });
	}

	/** A measurement that came straight from the device, between two that its server heard. */
	putSample(id: string, sample: Sample): void {
		const device = this.devices.get(id);
		if (device) this.devices.set(id, { ...device, latest: sample, last_seen_at: clock.now });
	}

	/** Takes in a task from an answer to a request; older than known is ignored. */
	putTask(task: Task): void {
		const known = this.tasks.get(task.id);
		if (known && known.version > task.version) return;
		this.tasks.set(task.id, task);
	}

	/** The device is gone: by us or by somebody else. */
	removeDevice(id: string, cursor = Number.MAX_SAFE_INTEGER): void {
		this.#deleted.set(id, cursor);
		this.devices.delete(id);
		this.samples.delete(id);
		for (const task of [...this.tasks.values()]) if (task.device_id === id) this.tasks.delete(task.id);
	}

	/** Fetches the last minutes of a device once, up to when it was last seen, so that its sparkline does not begin empty. */
	async loadHistory(id: string): Promise<void> {
		if (this.#historyAsked.has(id)) return;
		this.#historyAsked.add(id);
		try {
			const until = this.devices.get(id)?.last_seen_at ?? clock.now;
			const history = await this.#source.samples(id, until - HISTORY_MS);
			this.samples.set(id, withHistory(this.samples.get(id) ?? [], history));
		} catch {
			// The line begins with what comes now; the next view of the device asks again.
			this.#historyAsked.delete(id);
		}
	}

	#message({ event, data }: StreamMessage): void {
		const body: unknown = JSON.parse(data);
		switch (event) {
			case 'ready':
				return this.#began(body as StreamReady, !this.ready);
			case 'reset':
				return this.#began(body as StreamReady, true);
			case 'event':
				return this.#apply(body as EventRecord);
			case 'sample':
				return this.#together(() => this.#measured(body as StreamSample));
			case 'provider':
				for (const { changed } of this.#watchers) changed(body as StreamProvider);
				return;
			case 'ping':
				clock.serverSaid((body as StreamPing).server_time);
				// The snapshot failed while the stream lives: tried again at the stream's own pace.
				if (this.#stale) void this.#snapshot();
				void this.#measureLatency();
		}
	}

	#began(ready: StreamReady, needsSnapshot: boolean): void {
		clock.serverSaid(ready.server_time);
		this.serverVersion = ready.version;
		if (needsSnapshot || this.#stale || this.#old) void this.#snapshot();
		for (const { missed } of this.#watchers) missed();
		void this.#measureLatency();
	}

	/** One at a time; asked for again meanwhile, it runs again, because the first may have read too early. */
	#snapshot(): Promise<void> {
		if (this.#snapshotting) {
			this.#stale = true;
			return this.#snapshotting;
		}
		this.#stale = false;
		return (this.#snapshotting = this.#takeSnapshot().finally(() => {
			this.#snapshotting = undefined;
			if (this.#stale && !this.problem) void this.#snapshot();
		}));
	}

	async #takeSnapshot(): Promise<void> {
		const before = new Map([...this.devices].map(([id, device]) => [id, device.version]));
		try {
			const { devices, tasks } = await this.#source.snapshot();
			const there = new Set(devices.map((device) => device.id));
			// Known before and not in the snapshot: deleted while the stream was away.
			for (const id of before.keys()) if (!there.has(id)) this.removeDevice(id);
			for (const device of devices) this.putDevice(device);
			for (const task of tasks) this.putTask(task);
			this.problem = undefined;
			this.#old = this.#source.old();
			this.ready = true;
		} catch (thrown) {
			this.problem = problemOf(thrown);
			this.#stale = true;
		}
	}

	/** Tries the snapshot again after it failed. */
	async refresh(): Promise<void> {
		await this.#snapshot();
	}

	#apply(record: EventRecord): void {
		if (record.type === 'device.deleted') {
			this.removeDevice(record.data.device_id, record.cursor);
		} else if ('device' in record.data) {
			const device = record.data.device;
			if ((this.devices.get(device.id)?.version ?? -1) < record.cursor) {
				this.putDevice({ ...device, version: Math.max(device.version, record.cursor) });
			}
		} else if ('task' in record.data) {
			const task = record.data.task;
			if ((this.tasks.get(task.id)?.version ?? -1) < record.cursor) {
				this.putTask({ ...task, version: Math.max(task.version, record.cursor) });
				this.#recount(task.device_id);
				this.#letGo();
			}
		}
		for (const listener of this.#listeners) listener(record);
	}

	/** Task events carry no device: its counts follow from its tasks. */
	#recount(deviceId: string): void {
		const device = this.devices.get(deviceId);
		if (!device) return;
		let running = 0;
		let queued = 0;
		for (const task of this.tasks.values()) {
			if (task.device_id !== deviceId) continue;
			if (task.state === 'running') running++;
			else if (task.state === 'queued') queued++;
		}
		if (running === (device.running_tasks ?? 0) && queued === (device.queued_tasks ?? 0)) return;
		this.devices.set(deviceId, { ...device, running_tasks: running, queued_tasks: queued });
	}

	#letGo(): void {
		if (this.tasks.size <= KEPT_TASKS * 1.2) return;
		const ended = this.taskList.filter((task) => isFinal(task.state));
		for (const task of ended.slice(KEPT_TASKS)) this.tasks.delete(task.id);
	}

	/** At once when it is quiet, as all that comes in the same piece; drawn once, together, with what comes soon after. */
	#together(change: () => void): void {
		if (this.#pace !== undefined && !this.#sameTurn) {
			this.#due.push(change);
			return;
		}
		change();
		if (this.#sameTurn) return;
		this.#sameTurn = true;
		this.#pace = setTimeout(() => {
			this.#sameTurn = false;
			this.#pace = setTimeout(() => this.#applyDue(), PACE_MS);
		}, 0);
	}

	#applyDue(): void {
		this.#pace = undefined;
		if (this.#due.length === 0) return;
		for (const change of this.#due.splice(0)) change();
		this.#pace = setTimeout(() => this.#applyDue(), PACE_MS);
	}

	#measured({ device_id, at, sample }: StreamSample): void {
		this.samples.set(device_id, withSample(this.samples.get(device_id) ?? [], at, sample));
		const device = this.devices.get(device_id);
		if (device) this.devices.set(device_id, { ...device, latest: sample, last_seen_at: at });
	}

	async #measureLatency(): Promise<void> {
		try {
			const { server, ms } = await this.#source.server();
			const told = () => {
				this.server = server;
				this.latency = ms;
			};
			// The first is waited for; how it changes is worth no drawing of its own.
			if (this.latency === undefined) told();
			else this.#together(told);
		} catch {
			// The link state says it already.
			this.latency = undefined;
		}
	}
}
