import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import adapter from '@sveltejs/adapter-static';
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

const OUT = 'build';

/**
 * adapter-static, and then the inline script that Kit writes into the page becomes a file of its own. The page keeps
 * one inline script, that of `src/app.html`, which never changes while Kit's does with each build.
 */
function staticWithStartScript() {
	const inner = adapter({ pages: OUT, assets: OUT, fallback: 'index.html', strict: true });
	return {
		...inner,
		name: 'static-with-start-script',
		async adapt(/** @type {import('@sveltejs/kit').Builder} */ builder) {
			await inner.adapt(builder);
			const page = `${OUT}/index.html`;
			const html = readFileSync(page, 'utf8').replace(
				/<script>([\s\S]*?)<\/script>/g,
				(whole, /** @type {string} */ body) => {
					if (!body.includes('kit.start(')) return whole;
					const hash = createHash('sha256').update(body).digest('hex').slice(0, 8);
					writeFileSync(`${OUT}/_app/immutable/start.${hash}.js`, body);
					return `<script src="/_app/immutable/start.${hash}.js"></script>`;
				}
			);
			writeFileSync(page, html);
		}
	};
}

/** @type {import('@sveltejs/kit').Config} */
export default {
	preprocess: vitePreprocess(),
	compilerOptions: { runes: ({ filename }) => (filename.includes('node_modules') ? undefined : true) },
	kit: {
		adapter: staticWithStartScript(),
		paths: { relative: false },
		version: { pollInterval: 0 }
	}
};
