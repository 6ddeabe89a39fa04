// @ts-check
// Writes down whose work is in what people install, and under which licence: every crate of the programs and every
// package of the dashboard. `node scripts/licences.mjs` writes it, `--check` only says whether it is still true.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const OUT = 'src/lib/licences/all.json';
const PROGRAMS = ['foreman-app', 'mgmt-api', 'foreman-agent', 'foreman-cli'];
/** It only comes with the text. @type {Record<string, string>} */
const BY_TEXT = { 'svelte-toolbelt': 'MIT' };
const TEXTS = /^(licen[cs]e|copying|notice|unlicense)/i;

/** @typedef {{ name: string, version: string, licence: string, folder: string }} Part */

/** Crates that end up in a program on any system. @returns {Part[]} */
function crates() {
	const said = execFileSync('cargo', ['metadata', '--offline', '--format-version', '1'], {
		encoding: 'utf8',
		maxBuffer: 1 << 28
	});
	const { packages, resolve } = JSON.parse(said);
	const known = new Map(packages.map((/** @type {any} */ one) => [one.id, one]));
	const nodes = new Map(resolve.nodes.map((/** @type {any} */ one) => [one.id, one]));
	const open = packages
		.filter((/** @type {any} */ one) => PROGRAMS.includes(one.name))
		.map((/** @type {any} */ one) => one.id);
	const seen = new Set(open);
	for (let id = open.pop(); id; id = open.pop()) {
		for (const { pkg, dep_kinds } of nodes.get(id).deps) {
			const shipped = dep_kinds.some((/** @type {any} */ { kind }) => kind === null);
			const macro = known.get(pkg).targets.some((/** @type {any} */ { kind }) => kind.includes('proc-macro'));
			if (!shipped || macro || seen.has(pkg)) continue;
			seen.add(pkg);
			open.push(pkg);
		}
	}
	return [...seen]
		.map((id) => known.get(id))
		.filter(({ source }) => source)
		.map(({ name, version, license, manifest_path }) => ({
			name,
			version,
			licence: license ?? '',
			folder: dirname(manifest_path)
		}));
}

/** Packages of the dashboard. @returns {Part[]} */
function packages() {
	const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
	return Object.entries(packages)
		.filter(([path, { dev, devOptional, optional }]) => path && !dev && !devOptional && !optional)
		.map(([path, { version, license }]) => {
			const name = path.replace(/^.*node_modules\//, '');
			return { name, version, licence: license ?? BY_TEXT[name] ?? '', folder: path };
		});
}

/** The texts that come with a part; of several licences to choose from the shortest. @param {Part} part */
function textsOf({ folder, licence }) {
	if (!existsSync(folder)) return [];
	const files = readdirSync(folder, { withFileTypes: true }).filter(
		(file) => file.isFile() && TEXTS.test(file.name) && !/\.(html|spdx|rs|js)$/.test(file.name)
	);
	const mit =
		/ OR |\//.test(licence) && !/ AND /.test(licence) && files.some(({ name }) => /mit/i.test(name));
	return files
		.filter(({ name }) => !mit || /mit|notice/i.test(name))
		.map(({ name }) => readFileSync(join(folder, name), 'utf8'))
		.map((text) =>
			text
				.replace(/\r/g, '')
				.replace(/[ \t]+$/gm, '')
				.trim()
		)
		.filter(Boolean);
}

const parts = [...crates(), ...packages()].sort((a, b) =>
	a.name < b.name ? -1 : a.name > b.name ? 1 : a.version < b.version ? -1 : 1
);
const unclear = parts.filter(({ licence }) => !licence);
if (unclear.length > 0) throw new Error(`no licence: ${unclear.map(({ name }) => name).join(', ')}`);

if (process.argv.includes('--check')) {
	/** @type {{ parts: [string, string, string][] }} */
	const kept = JSON.parse(readFileSync(OUT, 'utf8'));
	const line = (/** @type {string[]} */ [name, version, licence]) => `${name} ${version} ${licence}`;
	const before = new Set(kept.parts.map((part) => line(part)));
	const now = new Set(parts.map(({ name, version, licence }) => line([name, version, licence])));
	const differences = [
		...[...now].filter((one) => !before.has(one)).map((one) => `+ ${one}`),
		...[...before].filter((one) => !now.has(one)).map((one) => `- ${one}`)
	];
	if (differences.length > 0) {
		console.error(
			`${OUT} is not what is built in; node scripts/licences.mjs writes it anew:\n${differences.join('\n')}`
		);
		process.exit(1);
	}
} else {
	/** @type {Map<string, number>} */
	const texts = new Map();
	const all = parts.map((part) => {
		const { name, version, licence } = part;
		const found = textsOf(part).map((text) => {
			if (!texts.has(text)) texts.set(text, texts.size);
			return texts.get(text);
		});
		return [name, version, licence, found];
	});
	const lines = (/** @type {unknown[]} */ items) => items.map((item) => JSON.stringify(item)).join(',\n');
	writeFileSync(OUT, `{"parts":[\n${lines(all)}\n],"texts":[\n${lines([...texts.keys()])}\n]}\n`);
	console.log(`${all.length} parts, ${texts.size} texts`);
}
