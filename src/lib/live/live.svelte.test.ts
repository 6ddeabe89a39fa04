import { flushSync } from 'svelte';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Device, Event, Sample, Task, TimedSample } from '$lib/api/types';
import { ProblemError, type LinkState, type StreamMessage, type SubscribeOptions } from '$lib/host';
import { Live, PACE_MS } from './live.svelte';
import type { Source } from './source';

const device = (id: string, version: number, change: Partial<Device> = {}): Device => ({
	id,
	name: id,
	type: 'gpu_compute',
	status: 'online',
	status_since: 0,
	created_at: 0,
	version,
	...change
});
const task = (id: string, version: number, change: Partial<Task> = {}): Task => ({
	id,
	device_id: 'spark',
	command: { shell: 'true' },
	state: 'running',
	requested_by: { kind: 'host' },
	created_at: 0,
	output_bytes: 0,
	output_start: 0,
	version,
	...change
});
const sample = (cpu: number) => ({ cpu_percent: cpu, memory_used: 1, memory_total: 2 }) as Sample;

/** The server's side, held in hand. */
class Stage implements Source {
	options!: SubscribeOptions;
	devices: Device[] = [];
	tasks: Task[] = [];
	history: TimedSample[] = [];
	snapshots = 0;
	fails?: ProblemError;
	/** Holds the snapshot back until called. */
	release?: () => void;
	held = false;

	subscribe(options: SubscribeOptions) {
		this.options = options;
		return { close() {}, reconnect() {}, lastEventId: '' };
	}

	async snapshot() {
		this.snapshots++;
		// Read now, answered later: what happens in between is only in the events.
		const answer = { devices: [...this.devices], tasks: [...this.tasks] };
		if (this.held) await new Promise<void>((resolve) => (this.release = resolve));
		if (this.fails) throw this.fails;
		return answer;
	}

	samples = () => Promise.resolve(this.history);
	server = () => Promise.reject(new Error('not asked here'));
	keeps = false;
	isOld = false;
	old = () => this.isOld;

	send(event: string, data: unknown, id = ''): void {
		this.options.message({ event, data: JSON.stringify(data), id } satisfies StreamMessage);
	}
	ready = (cursor: number) => this.send('ready', { cursor, server_time: Date.now(), version: '1' });
	reset = (cursor: number) => this.send('reset', { cursor, server_time: Date.now(), version: '1' });
	event = (cursor: number, event: Event) =>
		this.send('event', { cursor, at: 0, actor: { kind: 'system' }, hash: '', ...event }, String(cursor));
	changed = (cursor: number, changed: Device) =>
		this.event(cursor, { type: 'device.updated', data: { device: { ...changed, version: cursor } } });
}

const away: LinkState = {
	kind: 'reconnecting',
	since: 0,
	retryAt: 0,
	problem: new ProblemError('unreachable', '')
};

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

let stage: Stage;
let live: Live;

beforeEach(() => {
	stage = new Stage();
	live = new Live(stage);
	live.start();
});

describe('the live picture', () => {
	it('takes its snapshot only once the stream is ready', async () => {
		stage.devices = [device('spark', 3)];
		await settled();
		expect(stage.snapshots).toBe(0);
		stage.ready(3);
		await settled();
		expect(live.ready).toBe(true);
		expect(live.deviceList.map(({ id }) => id)).toEqual(['spark']);
	});

	it('keeps an event that came while the snapshot was on its way', async () => {
		stage.devices = [device('spark', 3, { name: 'old' })];
		stage.held = true;
		stage.ready(3);
		stage.changed(4, device('spark', 4, { name: 'new' }));
		stage.release?.();
		await settled();
		expect(live.devices.get('spark')).toMatchObject({ name: 'new', version: 4 });
	});

	it('skips an event that the snapshot already holds', async () => {
		stage.devices = [device('spark', 9, { name: 'new' })];
		stage.ready(5);
		await settled();
		stage.changed(7, device('spark', 7, { name: 'old' }));
		expect(live.devices.get('spark')?.name).toBe('new');
		stage.changed(10, device('spark', 10, { name: 'newer' }));
		expect(live.devices.get('spark')?.name).toBe('newer');
	});

	it('does not bring back a device that was deleted while the snapshot was on its way', async () => {
		stage.devices = [device('spark', 3)];
		stage.held = true;
		stage.ready(3);
		stage.event(4, { type: 'device.deleted', data: { device_id: 'spark', name: 'spark' } });
		stage.release?.();
		await settled();
		expect(live.devices.size).toBe(0);
	});

	it('takes no new snapshot when the stream goes on where it was', async () => {
		stage.ready(3);
		await settled();
		stage.ready(5);
		await settled();
		expect(stage.snapshots).toBe(1);
	});

	it('drops what is gone when it has to begin again', async () => {
		stage.devices = [device('spark', 3), device('orin', 3)];
		stage.ready(3);
		await settled();
		stage.devices = [device('orin', 20, { status: 'offline' })];
		stage.reset(20);
		await settled();
		expect(live.deviceList).toMatchObject([{ id: 'orin', status: 'offline' }]);
	});

	it('keeps what it has when the snapshot fails, and takes it with the next sign of life', async () => {
		stage.fails = new ProblemError('unavailable', '');
		stage.ready(3);
		await settled();
		expect(live.ready).toBe(false);
		expect(live.problem?.code).toBe('unavailable');
		stage.fails = undefined;
		stage.devices = [device('spark', 3)];
		stage.send('ping', { server_time: Date.now() });
		await settled();
		expect(live.problem).toBeUndefined();
		expect(live.devices.size).toBe(1);
	});

	it('shows what was last known while nobody answers, and asks again once somebody does', async () => {
		stage.keeps = true;
		stage.isOld = true;
		stage.devices = [device('spark', 3)];
		stage.options.link?.(away);
		await settled();
		expect(live.deviceList).toMatchObject([{ id: 'spark', status: 'online' }]);
		stage.isOld = false;
		stage.devices = [device('spark', 8, { status: 'offline' })];
		stage.ready(8);
		await settled();
		expect(stage.snapshots).toBe(2);
		expect(live.deviceList).toMatchObject([{ id: 'spark', status: 'offline' }]);
	});

	it('asks nobody for a snapshot while nobody answers and nothing is kept', async () => {
		stage.options.link?.(away);
		await settled();
		expect(stage.snapshots).toBe(0);
	});

	it('applies an event twice as once', async () => {
		stage.ready(0);
		await settled();
		const heard: number[] = [];
		live.listen(({ cursor }) => heard.push(cursor));
		const queued: Event = { type: 'device.task.queued', data: { task: task('t', 5, { state: 'queued' }) } };
		const done: Event = {
			type: 'device.task.completed',
			data: { task: task('t', 6, { state: 'succeeded' }) }
		};
		stage.event(5, queued);
		stage.event(6, done);
		stage.event(5, queued);
		expect(live.tasks.get('t')?.state).toBe('succeeded');
		expect(heard).toEqual([5, 6, 5]);
	});
});

describe('what follows from events', () => {
	beforeEach(async () => {
		stage.devices = [device('spark', 1)];
		stage.ready(1);
		await settled();
	});

	it("counts a device's tasks", () => {
		stage.event(2, { type: 'device.task.queued', data: { task: task('a', 2, { state: 'queued' }) } });
		stage.event(3, { type: 'device.task.started', data: { task: task('b', 3) } });
		expect(live.devices.get('spark')).toMatchObject({ running_tasks: 1, queued_tasks: 1 });
		stage.event(4, { type: 'device.task.failed', data: { task: task('b', 4, { state: 'failed' }) } });
		expect(live.devices.get('spark')).toMatchObject({ running_tasks: 0, queued_tasks: 1 });
		expect(live.activeTasks.map(({ id }) => id)).toEqual(['a']);
	});

	it('keeps the newest measurement over events, which carry none', () => {
		stage.send('sample', { device_id: 'spark', at: 10, sample: sample(42) });
		stage.changed(5, device('spark', 5, { name: 'renamed' }));
		expect(live.devices.get('spark')).toMatchObject({ name: 'renamed', latest: { cpu_percent: 42 } });
	});

	it('says how providers do, and when something of it may have been missed', () => {
		const heard: unknown[] = [];
		const stop = live.watchProviders({
			changed: ({ provider_id, health }) => heard.push([provider_id, health.state]),
			missed: () => heard.push('missed')
		});
		stage.send('provider', { provider_id: 'lab', health: { state: 'failing', retry_at: 9 } });
		stage.ready(1);
		stop();
		stage.send('provider', { provider_id: 'lab', health: { state: 'up' } });
		expect(heard).toEqual([['lab', 'failing'], 'missed']);
	});

	it('takes many measurements together, and loses none', () => {
		vi.useFakeTimers();
		const measured = (at: number) => stage.send('sample', { device_id: 'spark', at, sample: sample(at) });
		measured(1);
		vi.advanceTimersByTime(1);
		for (let at = 2; at <= 20; at++) measured(at);
		expect(live.samples.get('spark')).toHaveLength(1);
		vi.runAllTimers();
		vi.useRealTimers();
		expect(live.samples.get('spark')?.map(({ at }) => at)).toEqual([...Array(20).keys()].map((n) => n + 1));
		expect(live.devices.get('spark')?.latest?.cpu_percent).toBe(20);
	});

	it('draws what comes in one piece at once, and once', () => {
		vi.useFakeTimers();
		for (let at = 1; at <= 10; at++) stage.send('sample', { device_id: 'spark', at, sample: sample(at) });
		expect(live.samples.get('spark')).toHaveLength(10);
		vi.runAllTimers();
		expect(vi.getTimerCount()).toBe(0);
		vi.useRealTimers();
	});

	it('draws a minute of ten devices that report at most so often as its pace allows', () => {
		vi.useFakeTimers();
		const names = [...Array(10).keys()].map((number) => `device-${number}`);
		for (const [number, name] of names.entries()) stage.changed(number + 10, device(name, number + 10));
		let drawn = 0;
		const stop = $effect.root(() => {
			$effect(() => {
				for (const it of live.deviceList) void it.latest;
				drawn++;
			});
		});
		flushSync();
		drawn = 0;
		// Each every ten seconds, and in a second of its own.
		for (let second = 0; second < 60; second++) {
			stage.send('sample', { device_id: names[second % 10], at: second, sample: sample(second) });
			flushSync();
			vi.advanceTimersByTime(1000);
			flushSync();
		}
		stop();
		vi.useRealTimers();
		expect(drawn).toBeGreaterThan(1);
		expect(drawn).toBeLessThanOrEqual(60_000 / PACE_MS + 1);
	});

	it('puts history before what was measured since, without doubles', async () => {
		stage.send('sample', { device_id: 'spark', at: 30, sample: sample(3) });
		stage.send('sample', { device_id: 'spark', at: 30, sample: sample(3) });
		stage.history = [
			{ at: 10, sample: sample(1) },
			{ at: 20, sample: sample(2) },
			{ at: 30, sample: sample(3) }
		];
		await live.loadHistory('spark');
		expect(live.samples.get('spark')?.map(({ at }) => at)).toEqual([10, 20, 30]);
	});

	it('redraws what shows it', () => {
		const names: string[] = [];
		const stop = $effect.root(() => {
			$effect(() => void names.push(live.deviceList.map(({ name }) => name).join()));
		});
		flushSync();
		stage.changed(8, device('spark', 8, { name: 'renamed' }));
		flushSync();
		stop();
		expect(names).toEqual(['spark', 'renamed']);
	});
});
