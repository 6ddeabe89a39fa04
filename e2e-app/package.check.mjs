// @ts-check
// The .deb as a person gets it: what it says, what is in it, and a first start of the app in it, with the programs that
// came with it and no others. `./dev package --check` makes it and runs this; `./dev test` builds no release.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { atEnd, eventually, scratch } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';

const DEB = resolve(process.env.FOREMAN_DEB ?? '');
const PROGRAMS = ['foreman-app', 'foreman-server', 'foreman-agent', 'foreman'];

/** @param {string} command @param {...string} args */
const output = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' }).trim();

/** The package, unpacked as it would be in the root of a system. @param {import('node:test').TestContext} t */
async function unpacked(t) {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const root = join(folder.path, 'root');
	output('dpkg-deb', '--extract', DEB, root);
	return { root, scratch: folder.path };
}

test('the package says what it is and needs, and everything in it is root’s', async () => {
	const field = (/** @type {string} */ name) => output('dpkg-deb', '--field', DEB, name);
	const [, version] = (await readFile('Cargo.toml', 'utf8')).match(/^version = "(.+)"$/m) ?? [];
	assert.equal(field('Package'), 'foreman');
	assert.equal(field('Version'), version);
	assert.equal(field('Architecture'), output('dpkg', '--print-architecture'));
	for (const library of ['libwebkit2gtk-4.1-0', 'libgtk-3-0', 'libayatana-appindicator3-1'])
		assert.match(field('Depends'), new RegExp(library.replaceAll('.', '\\.')));
	assert.match(field('Conflicts'), /ruby-foreman/);
	for (const line of output('dpkg-deb', '--contents', DEB).split('\n'))
		assert.match(line, /^[d-]rwxr-xr-x root\/root|^-rw-r--r-- root\/root/, line);
});

test('the package is at most 15 MB', async () => {
	const { size } = await stat(DEB);
	assert.ok(size <= 15_000_000, `${(size / 1e6).toFixed(1)} MB`);
});

test('programs, icons, licence and the desktop entry with its links are where a desktop looks', async (t) => {
	const { root } = await unpacked(t);
	for (const name of PROGRAMS) {
		const path = join(root, 'usr/bin', name);
		assert.equal((await stat(path)).mode & 0o777, 0o755, name);
		assert.ok(!output('readelf', '--sections', path).includes('.symtab'), `${name} is stripped`);
	}
	for (const name of PROGRAMS.slice(1)) assert.match(output(join(root, 'usr/bin', name), '--version'), /\d/);
	const entry = join(root, 'usr/share/applications/Foreman.desktop');
	output('desktop-file-validate', entry);
	const lines = (await readFile(entry, 'utf8')).split('\n');
	for (const line of ['Exec=foreman-app %u', 'Icon=foreman-app', 'MimeType=x-scheme-handler/foreman;'])
		assert.ok(lines.includes(line), `${line} is in:\n${lines.join('\n')}`);
	for (const size of ['32x32', '128x128'])
		await stat(join(root, `usr/share/icons/hicolor/${size}/apps/foreman-app.png`));
	await stat(join(root, 'usr/share/icons/hicolor/scalable/apps/foreman-app.svg'));
	assert.equal(
		await readFile(join(root, 'usr/share/doc/foreman/LICENSE'), 'utf8'),
		await readFile('LICENSE', 'utf8')
	);
});

test('first start from the package: one click, and this computer is there by the programs beside the app', async (t) => {
	const { root, scratch: folder } = await unpacked(t);
	// The app finds its programs beside itself, not where tests have theirs.
	const installed = join(folder, 'foreman-app');
	await writeFile(
		installed,
		`#!/bin/sh\nunset FOREMAN_PROGRAMS\nexec ${join(root, 'usr/bin/foreman-app')} "$@"\n`
	);
	await chmod(installed, 0o755);
	process.env.FOREMAN_APP = installed;
	const { Desk } = await import('./desk.mjs');
	const desk = await Desk.of(t);
	const window = await desk.open();
	await window.text(say('app_welcome'));
	await window.press(say('app_here'));
	await window.text(say('app_here_allow').slice(0, 40));
	await window.press(say('app_here'));
	await window.text(say('devices_title'));
	await window.go('/devices');
	await window.until(`return document.querySelector('main a[href^="/devices/0"]')`);
	await desk.keep('package');
	const beside = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/this-computer');
	for (const name of ['server', 'agent']) {
		const pid = await eventually(() => readFile(join(beside, `${name}.pid`), 'utf8').catch(() => ''));
		assert.equal(await readlink(`/proc/${pid.trim()}/exe`), join(root, `usr/bin/foreman-${name}`));
	}
});
