import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { answer, request } from '$lib/host';
import { repeatOnceOpen } from './repeat';
import { Vault, type Obstacle } from './vault.svelte';

const json = (status: number, body: unknown) =>
	new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
const problem = (status: number, code: string) => json(status, { code, status, detail: '' });
const KEY = { provider: 'openai', name: 'team', key: 'sk-1' } as const;

describe('a call that needs the vault', () => {
	let answers: Response[];
	let sent: { path: string; body: string }[];
	let opened: boolean;
	let asked: Obstacle[];
	const repeating = repeatOnceOpen((obstacle) => {
		asked.push(obstacle);
		return Promise.resolve(opened);
	});

	beforeEach(() => {
		[answers, sent, opened, asked] = [[], [], true, []];
		vi.stubGlobal('fetch', async (input: Request) => {
			sent.push({ path: new URL(input.url).pathname, body: await input.text() });
			return answers.shift() ?? json(200, {});
		});
		request.use(repeating);
	});
	afterEach(() => {
		request.eject(repeating);
		vi.unstubAllGlobals();
	});
	const add = () => answer(request.POST('/api/v1/vault/keys', { body: KEY }));

	it('is repeated with the same body once the vault is open', async () => {
		answers = [problem(423, 'vault_locked'), json(201, { id: 'k' })];
		expect(await add()).toEqual({ id: 'k' });
		expect(asked).toEqual(['vault_locked']);
		expect(sent.map(({ body }) => JSON.parse(body))).toEqual([KEY, KEY]);
	});

	it('asks for the vault to be made where there is none', async () => {
		answers = [problem(409, 'vault_missing'), json(201, { id: 'k' })];
		await add();
		expect(asked).toEqual(['vault_missing']);
	});

	it('fails as it did when nobody opens it', async () => {
		opened = false;
		answers = [problem(423, 'vault_locked')];
		await expect(add()).rejects.toMatchObject({ code: 'vault_locked' });
		expect(sent).toHaveLength(1);
	});

	it('is repeated once and no more', async () => {
		answers = [problem(423, 'vault_locked'), problem(423, 'vault_locked')];
		await expect(add()).rejects.toMatchObject({ code: 'vault_locked' });
		expect(sent).toHaveLength(2);
	});

	it('is left alone when something else is wrong', async () => {
		answers = [problem(409, 'conflict')];
		await expect(add()).rejects.toMatchObject({ code: 'conflict' });
		expect(asked).toEqual([]);
	});

	it('puts no question on the screen for what a page reads by itself, nor for opening it', async () => {
		answers = [problem(423, 'vault_locked'), problem(423, 'vault_locked')];
		await expect(answer(request.GET('/api/v1/vault/keys'))).rejects.toMatchObject({ code: 'vault_locked' });
		await expect(
			answer(request.POST('/api/v1/vault/unlock', { body: { password: 'x' } }))
		).rejects.toMatchObject({ code: 'vault_locked' });
		expect(asked).toEqual([]);
	});
});

describe('the question', () => {
	const status = (unlocked: boolean) => ({
		initialised: true,
		unlocked,
		unattended: false,
		locks_after_s: 60
	});

	beforeEach(() => vi.stubGlobal('fetch', () => Promise.resolve(json(200, status(false)))));
	afterEach(() => vi.unstubAllGlobals());

	it('is one for all calls that wait, and answers them together', async () => {
		const vault = new Vault(() => true);
		const waiting = [vault.open('vault_locked'), vault.open('vault_locked')];
		expect(vault.asking).toBe('vault_locked');
		vault.put(status(true));
		expect(await Promise.all(waiting)).toEqual([true, true]);
		expect(vault.asking).toBeUndefined();
	});

	it('closed, the calls go on as failed', async () => {
		const vault = new Vault(() => true);
		const waiting = vault.open('vault_locked');
		vault.dismiss();
		expect(await waiting).toBe(false);
	});

	it('is not put to somebody who may not open it', async () => {
		const vault = new Vault(() => false);
		expect(await vault.open('vault_locked')).toBe(false);
		expect(vault.asking).toBeUndefined();
	});
});
