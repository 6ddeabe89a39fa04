import { beforeEach, expect, it, vi } from 'vitest';
import { signOut } from '$lib/session';
import { forget, keep, kept, keptNames } from './storage';
import { typed } from './typed';

beforeEach(() => keptNames().forEach(forget));

it('what was typed ends with the sign-in, and what was chosen stays', async () => {
	vi.stubGlobal('fetch', async () => new Response(null, { status: 204 }));
	keep('foreman.theme', 'dark');
	typed.keep('chat-draft-new', 'half a thought');
	typed.keep('chat-outbox', '[]');
	typed.keep('foreman.task.draft', '{"env":["PASSWORD=hunter2"]}');
	expect(typed.kept('chat-draft-new')).toBe('half a thought');
	await signOut();
	expect(keptNames()).toEqual(['foreman.theme']);
	expect(kept('foreman.theme')).toBe('dark');
});

it('a sign-out that failed leaves what was typed', async () => {
	vi.stubGlobal('fetch', async () => new Response(null, { status: 503 }));
	typed.keep('chat-draft-new', 'half a thought');
	await expect(signOut()).rejects.toThrow();
	expect(typed.kept('chat-draft-new')).toBe('half a thought');
});
