import { describe, expect, it } from 'vitest';
import type { Device } from '$lib/api/types';
import { byReadiness, draftFrom, draftOf, EMPTY, faultsOf, specOf, textOf } from './draft';

describe('a kept draft', () => {
	it('never holds the values of the environment', () => {
		const text = textOf({ ...EMPTY, env: [{ key: 7, name: 'HF_TOKEN', value: 'secret-value' }] });
		expect(text).not.toContain('secret-value');
		expect(draftFrom(text).env).toEqual([{ key: 0, name: 'HF_TOKEN', value: '' }]);
	});

	it('survives nonsense', () => {
		for (const text of ['', '[', 'null', '7', '{"env":[1,null,{"name":3}],"shell":{}}']) {
			expect(draftFrom(text)).toEqual(EMPTY);
		}
	});
});

describe('faultsOf', () => {
	it('names what is missing or wrong', () => {
		expect(faultsOf(EMPTY)).toEqual(['device', 'shell']);
		const wrong = { ...EMPTY, device: 'd', kind: 'program', cwd: 'src', minutes: '1.5' } as const;
		expect(faultsOf({ ...wrong, env: [{ key: 0, name: '2X', value: '' }] })).toEqual([
			'program',
			'cwd',
			'env',
			'minutes'
		]);
	});

	it('accepts a Windows folder and an unused row', () => {
		const draft = { ...EMPTY, device: 'd', shell: 'dir', cwd: 'C:\\work' };
		expect(faultsOf({ ...draft, env: [{ key: 0, name: '', value: '' }] })).toEqual([]);
	});
});

describe('specOf', () => {
	it('sends only what was filled in', () => {
		expect(specOf({ ...EMPTY, device: 'd', shell: 'make' })).toEqual({ shell: 'make' });
	});

	it('asks for a key for what was chosen, with its limit', () => {
		const draft = { ...EMPTY, device: 'd', shell: 'claude', models: 'auto:code', cap: '2,50' };
		expect(specOf(draft)).toEqual({
			shell: 'claude',
			models: { models: ['auto:code'], cap_micros: 2_500_000 }
		});
		expect(faultsOf({ ...draft, cap: 'much' })).toEqual(['cap']);
		expect(specOf({ ...draft, models: '' })).toEqual({ shell: 'claude' });
		expect(draftFrom(textOf(draft))).toEqual(draft);
	});

	it('takes arguments exactly as written', () => {
		const draft = {
			...EMPTY,
			kind: 'program' as const,
			program: 'python',
			args: '-c\nprint("a b")\n\nlast\n'
		};
		expect(specOf({ ...draft, minutes: '3' })).toEqual({
			program: 'python',
			args: ['-c', 'print("a b")', '', 'last'],
			timeout_s: 180
		});
	});

	it('makes the same task again from a task', () => {
		const command = { program: 'python', args: ['train.py', '--lr', '0.1'] };
		const draft = draftOf({
			id: 't',
			device_id: 'd',
			command,
			cwd: '/work',
			timeout_s: 600,
			state: 'failed',
			requested_by: { kind: 'host' },
			created_at: 0,
			output_bytes: 0,
			output_start: 0,
			version: 1
		});
		expect(specOf(draft)).toEqual({ ...command, cwd: '/work', timeout_s: 600 });
	});
});

it('puts devices that can run first', () => {
	const device = (name: string, status: Device['status'], allowed: boolean) =>
		({ id: name, name, status, policy: { allow_bash: allowed } }) as Device;
	const sorted = byReadiness([
		device('away', 'offline', true),
		device('new', 'pending', false),
		device('closed', 'online', false),
		device('ready', 'online', true)
	]);
	expect(sorted.map((one) => one.name)).toEqual(['ready', 'away', 'closed', 'new']);
});
