import { expect, it } from 'vitest';
import { allParts, matching } from './parts';

it('names crates and packages with their licences and texts', async () => {
	const parts = await allParts();
	const named = (name: string) => parts.find((part) => part.name === name);
	expect(named('tokio')).toMatchObject({ licence: 'MIT' });
	expect(named('tokio')?.texts.join()).toContain('Permission is hereby granted');
	expect(named('svelte')?.licence).toBe('MIT');
	// What only builds or tests is in nothing that people install.
	for (const tool of ['vitest', 'proptest', 'tauri-build']) expect(named(tool), tool).toBeUndefined();
	expect(parts.every(({ licence }) => licence !== '')).toBe(true);
});

it('is found by name and licence', async () => {
	const parts = await allParts();
	const found = matching(parts, ' TOKIO mit ');
	expect(found.length).toBeGreaterThan(0);
	expect(found.every(({ name }) => name.includes('tokio'))).toBe(true);
	expect(matching(parts, '')).toHaveLength(parts.length);
	expect(matching(parts, 'nothing has this name')).toHaveLength(0);
});
