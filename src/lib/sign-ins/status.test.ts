import { expect, it } from 'vitest';
import { statusOf } from './status';

it('reads what a program says of who is signed in', () => {
	const full =
		'{\r\n  "loggedIn": true,\r\n  "authMethod": "claude.ai",\r\n  "email": "ada@example.com"\r\n}\r\n';
	expect(statusOf(full, 0)).toEqual({ signedIn: true, who: 'ada@example.com' });
	expect(statusOf(`[?25h${full}`, 0)).toEqual({ signedIn: true, who: 'ada@example.com' });
	expect(statusOf('{"loggedIn": false, "email": "old@example.com"}', 1)).toEqual({ signedIn: false });
	expect(statusOf('{"loggedIn": true}', 0)).toEqual({ signedIn: true });
	expect(statusOf(`{"loggedIn": true, "email": "${'a'.repeat(300)}"}`, 0)).toEqual({ signedIn: true });
});

it('goes by how it ended where the word is another, and guesses nothing', () => {
	expect(statusOf('{"account": {}}', 0)).toEqual({ signedIn: true });
	expect(statusOf('{"account": {}}', 1)).toEqual({ signedIn: false });
	for (const [printed, code] of [
		['', 0],
		['command not found', 127],
		['{"account": {}}', 2],
		['{"account": {}}', undefined],
		['{ half', 0],
		['null', 0]
	] as const)
		expect(statusOf(printed, code)).toBeUndefined();
});
