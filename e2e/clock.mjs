// @ts-check
// A clock for programs that a test sets: libfaketime, Debian's package `faketime`.
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { atEnd, leaveOut, scratch } from './stack.mjs';

const LIBRARY = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
	.map((arch) => `/usr/lib/${arch}/faketime/libfaketimeMT.so.1`)
	.find((path) => existsSync(path));

/**
 * The environment of a program whose wall clock is set with `set('+1d')`. `undefined`, said loudly, where clocks cannot
 * be faked.
 * @param {import('node:test').TestContext} test
 */
export async function clock(test) {
	if (!LIBRARY) {
		leaveOut(test, 'clocks cannot be faked here; apt-get install faketime');
		return undefined;
	}
	const folder = await scratch();
	atEnd(test, folder.remove);
	const offset = join(folder.path, 'clock');
	/** As `+1d` or `-3h`. Written beside and moved, so that it is never half there. @param {string} to */
	const set = (to) => {
		writeFileSync(`${offset}.draft`, `${to}\n`);
		renameSync(`${offset}.draft`, offset);
	};
	set('+0d');
	return {
		set,
		env: {
			LD_PRELOAD: LIBRARY,
			FAKETIME_TIMESTAMP_FILE: offset,
			FAKETIME_NO_CACHE: '1',
			FAKETIME_DONT_FAKE_MONOTONIC: '1',
			DONT_FAKE_MONOTONIC: '1'
		}
	};
}
