// @ts-check
// What installed apps are told of a release: its version, and for each kind of package where it is and its signature.
// `node scripts/update-manifest.mjs FOLDER ADDRESS` prints it from the packages and their `.sig` files in a folder;
// packages that are not signed are left out.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder = '', address = ''] = process.argv.slice(2);
const [, version] = /^version = "(.+)"$/m.exec(readFileSync('Cargo.toml', 'utf8')) ?? [];

/** Tauri's names for what an app was installed from. */
const KINDS = [
	{ file: /_amd64\.deb$/, kinds: ['linux-x86_64-deb'] },
	{ file: /_arm64\.deb$/, kinds: ['linux-aarch64-deb'] },
	{ file: /_amd64\.AppImage$/, kinds: ['linux-x86_64-appimage'] },
	{ file: /_arm64\.AppImage$/, kinds: ['linux-aarch64-appimage'] },
	{ file: /_x64-setup\.exe$/, kinds: ['windows-x86_64-nsis'] },
	{ file: /\.app\.tar\.gz$/, kinds: ['darwin-x86_64-app', 'darwin-aarch64-app'] }
];

/** @type {Record<string, { url: string, signature: string }>} */
const platforms = {};
for (const signed of readdirSync(folder).filter((file) => file.endsWith('.sig'))) {
	const name = signed.slice(0, -'.sig'.length);
	const signature = readFileSync(join(folder, signed), 'utf8').trim();
	const url = `${address}/${encodeURIComponent(name)}`;
	const known = KINDS.find(({ file }) => file.test(name));
	if (!known) throw new Error(`nobody could be updated by ${name}`);
	for (const kind of known.kinds) platforms[kind] = { url, signature };
}
console.log(JSON.stringify({ version, platforms }, null, 2));
