import { describe, expect, it } from 'vitest';
import type { Provider } from '$lib/api/types';
import { bodyOf, changesOf, draftFaults, editFaults, NEW_KEY, type ProviderDraft } from './draft';
import { withUse } from './uses';

const draft = (change: Partial<ProviderDraft>): ProviderDraft => ({
	kind: 'anthropic',
	name: '',
	key: 'sk-1',
	vaultKey: NEW_KEY,
	baseUrl: '',
	deviceId: '',
	...change
});

describe('a provider that is added', () => {
	it('needs a key, unless it is in the vault or the address may ask for none', () => {
		expect(draftFaults(draft({ key: ' ' }))).toEqual(['key']);
		expect(draftFaults(draft({ key: '', vaultKey: 'team' }))).toEqual([]);
		const other = { kind: 'openai_compatible', key: '' } as const;
		expect(draftFaults(draft({ ...other, baseUrl: 'https://llm.example.org/v1' }))).toEqual([]);
		expect(draftFaults(draft({ ...other, baseUrl: 'llm.example.org' }))).toEqual(['address']);
		expect(draftFaults(draft({ ...other, baseUrl: 'javascript:alert(1)' }))).toEqual(['address']);
	});

	it('on a device needs the device and nothing else', () => {
		expect(draftFaults(draft({ kind: 'ollama', key: '' }))).toEqual(['device']);
		expect(bodyOf(draft({ kind: 'ollama', deviceId: 'd', key: 'left over' }))).toEqual({
			kind: 'ollama',
			name: undefined,
			device_id: 'd'
		});
	});

	it('has a name that can stand before a slash', () => {
		expect(draftFaults(draft({ name: 'My Provider' }))).toEqual(['name']);
		expect(draftFaults(draft({ name: 'my-provider-2' }))).toEqual([]);
	});

	it('is sent with a new key or the name of one, never both', () => {
		expect(bodyOf(draft({ key: ' sk-1 ' }))).toMatchObject({ key: 'sk-1' });
		expect(bodyOf(draft({ vaultKey: 'team' }))).toEqual({
			kind: 'anthropic',
			name: undefined,
			base_url: undefined,
			vault_key: 'team'
		});
	});
});

describe('a provider that is changed', () => {
	const provider = {
		name: 'openai',
		base_url: 'https://api.openai.com/v1',
		vault_key: 'openai'
	} as Provider;
	const same = { name: 'openai', baseUrl: 'https://api.openai.com/v1', key: '' };

	it('asks for the key again for another address', () => {
		const moved = { ...same, baseUrl: 'https://proxy.example.org/v1' };
		expect(editFaults(provider, moved)).toEqual(['key']);
		expect(editFaults(provider, { ...moved, key: 'sk-2' })).toEqual([]);
		expect(editFaults({ ...provider, vault_key: undefined }, moved)).toEqual([]);
	});

	it('is sent with only what is another than before', () => {
		expect(changesOf(provider, same)).toBeUndefined();
		expect(changesOf(provider, { ...same, name: 'main' })).toEqual({ name: 'main' });
		expect(changesOf(provider, { ...same, key: ' sk-2 ' })).toEqual({ key: 'sk-2' });
	});
});

describe('what a provider is used for', () => {
	it('is everything, or single things', () => {
		expect(withUse([], 'code', true)).toEqual(['code']);
		expect(withUse(['code'], 'research', true)).toEqual(['code', 'research']);
		expect(withUse(['code'], 'all', true)).toEqual(['all']);
		expect(withUse(['all'], 'all', false)).toEqual([]);
	});

	it('keeps the others when one of everything is taken away', () => {
		expect(withUse(['all'], 'code', false)).toEqual(['research']);
	});
});
