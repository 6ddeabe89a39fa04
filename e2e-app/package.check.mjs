// @ts-check
// The .deb and the AppImage as a person gets them: what they say, what is in them, and a first start of the app, with the
// programs that came with it and no others. `./dev package --check` makes them and runs this; `./dev test` builds no release.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { atEnd, eventually, scratch } from '../e2e/stack.mjs';
import { say } from '../e2e/words.mjs';
import { Desk } from './desk.mjs';
import { setUpHere } from './enter.mjs';

const DEB = resolve(process.env.FOREMAN_DEB ?? '');
/** Where none could be made, `./dev package` has said so. */
const APPIMAGE = process.env.FOREMAN_APPIMAGE ? resolve(process.env.FOREMAN_APPIMAGE) : '';
const without = APPIMAGE ? false : 'no AppImage was made';
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

/**
 * A first start of the app that `program` is, and where its server and its agent were started from.
 * @param {import('node:test').TestContext} t @param {string} folder @param {string} program @param {string} picture
 */
async function firstStart(t, folder, program, picture) {
	// The app finds its programs beside itself, not where tests have theirs.
	const installed = join(folder, 'foreman-app');
	await writeFile(installed, `#!/bin/sh\nunset FOREMAN_PROGRAMS\nexec ${program} "$@"\n`);
	await chmod(installed, 0o755);
	const desk = await Desk.of(t);
	const window = await desk.open([], installed);
	await window.text(say('app_welcome'));
	await setUpHere(window);
	await window.go('/devices');
	await window.until(`return document.querySelector('main a[href^="/devices/0"]')`);
	await desk.keep(picture);
	const beside = join(desk.env.XDG_DATA_HOME, 'dev.foreman.app/this-computer');
	/** @param {string} name */
	const started = async (name) => {
		const pid = await eventually(() => readFile(join(beside, `${name}.pid`), 'utf8').catch(() => ''));
		return readlink(`/proc/${pid.trim()}/exe`);
	};
	return [await started('server'), await started('agent')];
}

test('first start from the package: one click, and this computer is there by the programs beside the app', async (t) => {
	const { root, scratch: folder } = await unpacked(t);
	const programs = await firstStart(t, folder, join(root, 'usr/bin/foreman-app'), 'package');
	assert.deepEqual(
		programs,
		['server', 'agent'].map((name) => join(root, `usr/bin/foreman-${name}`))
	);
});

test(
	'the AppImage holds the files of the .deb but the command line, and is at most 15 MB',
	{ skip: without },
	async (t) => {
		const { size } = await stat(APPIMAGE);
		assert.ok(size <= 15_000_000, `${(size / 1e6).toFixed(1)} MB`);
		const { root, scratch: folder } = await unpacked(t);
		execFileSync(APPIMAGE, ['--appimage-extract'], { cwd: folder, stdio: 'ignore' });
		const bin = join(folder, 'squashfs-root/usr/bin');
		const packed = join(bin, 'foreman-programs.tar.xz');
		output('tar', '--extract', '--file', packed, '--directory', bin);
		await rm(packed);
		await rm(join(root, 'usr/bin/foreman'));
		output('diff', '--recursive', join(root, 'usr'), join(folder, 'squashfs-root/usr'));
	}
);

test('first start from the AppImage, which is installed nowhere', { skip: without }, async (t) => {
	const folder = await scratch();
	atEnd(t, folder.remove);
	const [server, agent] = await firstStart(t, folder.path, APPIMAGE, 'appimage');
	const programs = /\/dev\.foreman\.app\/this-computer\/programs\/[^/]+\/foreman-(server|agent)$/;
	for (const program of [server, agent]) assert.match(program, programs);
	assert.equal(dirname(server), dirname(agent));
});
