// @ts-check
// What an AppImage runs first. The whole of one is started by `./dev package --check`.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEnd, scratch } from '../e2e/stack.mjs';

test('an AppImage says what the system lacks for it, in both languages', async (t) => {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const bin = join(folder.path, 'usr/bin');
	const library = join(folder.path, 'libforeman-absent.so.1');
	await mkdir(bin, { recursive: true });
	await copyFile('src-tauri/appimage/AppRun', join(folder.path, 'AppRun'));
	await writeFile(join(folder.path, 'one.c'), 'int one(void) { return 0; }');
	await writeFile(join(folder.path, 'app.c'), 'int one(void); int main(void) { return one(); }');
	const inside = { cwd: folder.path };
	execFileSync('cc', ['-shared', '-Wl,-soname,libforeman-absent.so.1', '-o', library, 'one.c'], inside);
	execFileSync('cc', ['-o', 'usr/bin/foreman-app', 'app.c', 'libforeman-absent.so.1'], inside);
	/** @param {Record<string, string>} env */
	const start = (env) =>
		spawnSync(join(folder.path, 'AppRun'), {
			env: { PATH: '/usr/bin:/bin', ...env },
			encoding: 'utf8'
		});
	assert.equal(start({ LD_LIBRARY_PATH: folder.path }).status, 0, 'with its library it runs');
	await rm(library);
	for (const [language, words] of /** @type {const} */ ([
		['en_GB.UTF-8', 'needs what this system lacks: libforeman-absent.so.1'],
		['de_DE.UTF-8', 'fehlt auf diesem System: libforeman-absent.so.1']
	])) {
		const { status, stderr } = start({ LANG: language });
		assert.equal(status, 127);
		assert.ok(stderr.includes(words), stderr);
	}
});
