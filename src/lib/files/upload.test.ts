import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ProblemError, type CallOptions, type DeviceDoor } from '$lib/host';
import { UploadJob } from './upload.svelte';

const MIB = 1024 * 1024;

/** A device that keeps what it is sent, and fails when told to. */
class FakeDevice {
	bytes = 0;
	size = 0;
	asked: string[] = [];
	failures: (ProblemError | undefined)[] = [];

	call = async (method: string, path: string, { query, json, body }: CallOptions = {}): Promise<unknown> => {
		this.asked.push(`${method} ${path}${query ? ` ${query.offset}` : ''}`);
		const failure = this.failures.shift();
		if (failure) throw failure;
		if (method === 'POST') this.size = (json as { size: number }).size;
		if (method === 'PATCH') {
			if (query?.offset !== this.bytes)
				throw new ProblemError('upload_offset', '', 409, { expected: this.bytes });
			this.bytes += body!.size;
		}
		const done = method === 'PATCH' && this.bytes === this.size;
		return { id: 'u', path: '/a', size: this.size, received: this.bytes, done };
	};
}

let fake: FakeDevice;
const job = (size: number) =>
	new UploadJob(
		fake as unknown as DeviceDoor,
		Object.assign(new Blob([new Uint8Array(size)]), { name: 'a' }),
		'/a'
	);

beforeEach(() => {
	vi.useFakeTimers();
	fake = new FakeDevice();
});
afterEach(() => vi.useRealTimers());

it('sends a file in pieces', async () => {
	const upload = job(5 * MIB);
	await upload.go();
	expect(fake.asked).toEqual([
		'POST /uploads',
		'PATCH /uploads/u 0',
		`PATCH /uploads/u ${2 * MIB}`,
		`PATCH /uploads/u ${4 * MIB}`
	]);
	expect(upload.state.kind).toBe('done');
	expect(upload.received).toBe(5 * MIB);
});

it('sends an empty file', async () => {
	const upload = job(0);
	await upload.go();
	expect(upload.state.kind).toBe('done');
});

it('goes on by itself from what the device has when the line was cut', async () => {
	fake.failures = [undefined, undefined, new ProblemError('unreachable', '')];
	const upload = job(4 * MIB);
	await upload.go();
	expect(upload.state.kind).toBe('cut');
	await vi.advanceTimersByTimeAsync(2_000);
	expect(upload.state.kind).toBe('done');
	expect(fake.asked.slice(-2)).toEqual(['GET /uploads/u', `PATCH /uploads/u ${2 * MIB}`]);
});

it('believes the device about where it stands', async () => {
	const upload = job(4 * MIB);
	fake.failures = [undefined, undefined];
	const call = fake.call;
	// The first piece arrived, and its answer did not.
	fake.call = async (method, path, options) => {
		const answer = await call(method, path, options);
		if (method === 'PATCH' && fake.asked.length === 2)
			throw new ProblemError('upload_offset', '', 409, { expected: fake.bytes });
		return answer;
	};
	await upload.go();
	expect(upload.state.kind).toBe('done');
	expect(fake.bytes).toBe(4 * MIB);
});

it('asks before it replaces, and stops for good when refused', async () => {
	const upload = job(1);
	fake.failures = [new ProblemError('conflict', '', 409)];
	await upload.go();
	expect(upload.state.kind).toBe('exists');
	fake.failures = [new ProblemError('policy_forbids', '', 403)];
	await upload.go(true);
	expect(upload.state).toMatchObject({ kind: 'failed', problem: { code: 'policy_forbids' } });
});

it('offers to replace a file of the same name, and nothing that no file can take the place of', async () => {
	const taken = job(1);
	fake.failures = [new ProblemError('conflict', '', 409, { reason: 'name_taken' })];
	await taken.go();
	expect(taken.state.kind).toBe('exists');
	const held = job(1);
	fake.failures = [new ProblemError('conflict', '', 409, { reason: 'not_replaced' })];
	await held.go();
	expect(held.state.kind).toBe('failed');
});

it('pauses and goes on', async () => {
	const upload = job(4 * MIB);
	const call = fake.call;
	fake.call = async (method, path, options) => {
		const answer = await call(method, path, options);
		if (method === 'PATCH' && fake.bytes === 2 * MIB) upload.pause();
		return answer;
	};
	await upload.go();
	expect(upload.state.kind).toBe('paused');
	await upload.go();
	expect(upload.state.kind).toBe('done');
	expect(fake.bytes).toBe(4 * MIB);
});
