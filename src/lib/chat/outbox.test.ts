import { beforeEach, describe, expect, it } from 'vitest';
import { draftOf, keepDraft } from './drafts';
import { freshId } from './ids';
import { queue, unqueue, waitingIn, waitingSends, type Waiting } from './outbox';

const one = (id: string, chat = 'c'): Waiting => ({ id, chat, text: id, attachments: [], at: 0 });

beforeEach(() => waitingSends().forEach(({ id }) => unqueue(id)));

describe('what waits to be sent', () => {
	it('keeps its order, by conversation, and each once', () => {
		queue(one('a'));
		queue(one('b', 'd'));
		queue(one('c'));
		queue(one('a'));
		expect(waitingSends().map(({ id }) => id)).toEqual(['a', 'b', 'c']);
		expect(waitingIn('c').map(({ id }) => id)).toEqual(['a', 'c']);
		unqueue('a');
		expect(waitingIn('c').map(({ id }) => id)).toEqual(['c']);
	});

	it('is bounded', () => {
		for (let n = 0; n < 50; n += 1) expect(queue(one(`m${n}`))).toBe(true);
		expect(queue(one('late'))).toBe(false);
	});
});

it('a draft that is emptied is gone', () => {
	keepDraft('c', 'half a thou');
	expect(draftOf('c')).toBe('half a thou');
	keepDraft('c', '  ');
	expect(draftOf('c')).toBe('');
});

it('ids are UUIDs of version 7 and sort by when they were made', () => {
	const id = freshId(1_700_000_000_000);
	expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
	expect(freshId(1_700_000_000_001) > id).toBe(true);
	expect(new Set(Array.from({ length: 100 }, () => freshId())).size).toBe(100);
});
