import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteLength, otherVersion, versionOf, withEarlier, withEnd, withMessage, withPiece } from './branch';
import type { Message } from './types';

function message(id: string, parent?: string, rest: Partial<Message> = {}): Message {
	return {
		id,
		chat_id: 'c',
		parent,
		role: 'user',
		text: '',
		attachments: [],
		state: 'done',
		created_at: 0,
		...rest
	};
}

/** A tree by random parents: message n follows an earlier one, or begins anew. */
const trees = fc
	.array(fc.nat(), { minLength: 1, maxLength: 40 })
	.map((parents) =>
		parents.map((pick, n) => message(`m${n}`, n > 0 && pick % 5 > 0 ? `m${pick % n}` : undefined))
	);

function upwards(tree: readonly Message[], leaf: Message): Message[] {
	const branch = [leaf];
	for (let at: Message | undefined = leaf; at?.parent;) {
		const parent: string = at.parent;
		at = tree.find((one) => one.id === parent);
		if (at) branch.push(at);
	}
	return branch;
}

describe('a branch', () => {
	it('is the same whole, whatever pages it came in', () => {
		fc.assert(
			fc.property(trees, fc.nat(), fc.integer({ min: 1, max: 7 }), (tree, pick, size) => {
				const up = upwards(tree, tree[pick % tree.length]!);
				let shown: Message[] = [];
				for (let at = 0; at < up.length; at += size) {
					// A page that is fetched twice changes nothing.
					shown = withEarlier(shown, up.slice(at, at + size));
					shown = withEarlier(shown, up.slice(at, at + size));
				}
				expect(shown.map(({ id }) => id)).toEqual(up.map(({ id }) => id).reverse());
			})
		);
	});

	it('keeps what was loaded of it when its end is fetched again, and nothing of another', () => {
		fc.assert(
			fc.property(trees, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 7 }), (tree, was, now, size) => {
				const shown = upwards(tree, tree[was % tree.length]!).reverse();
				const up = upwards(tree, tree[now % tree.length]!);
				const page = up.slice(0, size);
				const next = withEnd(shown, page).map(({ id }) => id);
				const kept = shown.some(({ id }) => id === page.at(-1)?.id);
				expect(next).toEqual((kept ? up : page).map(({ id }) => id).reverse());
			})
		);
	});

	it('stays a path from parent to child, whatever message comes', () => {
		fc.assert(
			fc.property(trees, fc.array(fc.nat(), { maxLength: 30 }), (tree, picks) => {
				let shown = [tree[0]!];
				for (const pick of picks) shown = withMessage(shown, tree[pick % tree.length]!);
				shown.forEach((one, at) => at > 0 && expect(one.parent).toBe(shown[at - 1]!.id));
			})
		);
	});

	it('ends at the new version of an edited message', () => {
		const shown = [message('q1'), message('a1', 'q1'), message('q2', 'a1'), message('a2', 'q2')];
		expect(withMessage(shown, message('q2b', 'a1')).map(({ id }) => id)).toEqual(['q1', 'a1', 'q2b']);
		expect(withMessage(shown, message('q1b')).map(({ id }) => id)).toEqual(['q1b']);
		expect(withMessage(shown, message('x', 'nowhere')).map(({ id }) => id)).toEqual(['q1', 'a1', 'q2', 'a2']);
	});
});

describe('pieces', () => {
	it('make the text once, repeated and late ones included', () => {
		fc.assert(
			fc.property(
				fc.array(fc.string({ unit: 'grapheme', maxLength: 6 })),
				fc.array(fc.nat()),
				(texts, again) => {
					let offset = 0;
					const pieces = texts.map((text) => {
						const piece = { offset, text };
						offset += byteLength(text);
						return piece;
					});
					let state = { message: message('a'), have: 0 };
					pieces.forEach((piece, at) => {
						state = withPiece(state.message, state.have, piece);
						const repeated = pieces[(again[at] ?? 0) % (at + 1)]!;
						if (repeated.text !== '') state = withPiece(state.message, state.have, repeated);
					});
					expect(state).toMatchObject({ message: { text: texts.join('') }, have: offset });
				}
			)
		);
	});
});

it('versions are counted from one', () => {
	const second = message('b', 'q', { versions: ['a', 'b', 'c'] });
	expect(versionOf(second)).toEqual({ at: 2, of: 3 });
	expect([otherVersion(second, -1), otherVersion(second, 1)]).toEqual(['a', 'c']);
	expect(otherVersion(message('a', 'q', { versions: ['a', 'b'] }), -1)).toBeUndefined();
	expect(versionOf(message('a'))).toBeUndefined();
});
