import { describe, expect, it } from 'vitest';
import { readAuthorization } from './authorization';

const read = (query: string) => readAuthorization(new URLSearchParams(query));

describe('readAuthorization', () => {
	it('takes what OAuth knows, and leaves the rest', () => {
		expect(read('client_id=foreman-app&state=a%20b&utm=x')).toEqual({
			client_id: 'foreman-app',
			state: 'a b'
		});
	});

	it('takes nothing that is said twice', () => {
		expect(read('client_id=foreman-app&client_id=foreman-cli')).toBeUndefined();
		expect(read('redirect_uri=a&state=x&redirect_uri=a')).toBeUndefined();
	});
});
