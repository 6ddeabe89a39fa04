import { paraglideVitePlugin } from '@inlang/paraglide-js';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

const messages = () =>
	paraglideVitePlugin({
		project: './project.inlang',
		outdir: './src/lib/paraglide',
		// The locale is kept by `$lib/i18n`, which makes it reactive; nothing is read from URLs or cookies.
		strategy: ['globalVariable', 'baseLocale']
	});

/** KaTeX brings each font three times. What runs the dashboard reads the smallest, and the others would be in every package. */
const onlyWoff2 = () => ({
	name: 'only-woff2',
	enforce: 'pre' as const,
	transform: (code: string, id: string) =>
		/katex.*\.css$/.test(id) ? code.replace(/,\s*url\([^)]+\) format\("(?:woff|truetype)"\)/g, '') : undefined
});

export default defineConfig(({ mode }) => ({
	// `npm test` compiles the messages before; the plugin's watcher would keep the tests from ending.
	plugins: mode === 'test' ? [sveltekit()] : [messages(), onlyWoff2(), sveltekit()],
	// Fonts and icons stay files: a strict content policy allows no data: fonts.
	build: { assetsInlineLimit: 0 },
	server: {
		port: 5173,
		strictPort: true,
		// `npm run dev` beside a running server: everything that is not the dashboard goes there.
		proxy: {
			'^/(api|healthz|readyz|metrics|downloads|install-agent)': {
				target: 'http://127.0.0.1:3001',
				changeOrigin: false
			}
		}
	},
	// Tests run the browser's Svelte, so that runes in `*.svelte.ts` behave as in the product.
	resolve: mode === 'test' ? { conditions: ['browser'] } : {},
	// The time is for machines that build beside the tests: a hang is to be found, not a busy moment.
	test: {
		include: ['src/**/*.test.ts'],
		environment: './src/test-environment.ts',
		testTimeout: 30_000
	}
}));
