import { expect, it } from 'vitest';

// Colours are named in app.css and nowhere else, so that both themes stay whole.
const sources = import.meta.glob<string>(['/src/**/*.svelte', '/src/**/*.css', '!/src/app.css'], {
	eager: true,
	query: '?raw',
	import: 'default'
});

it('has no raw colour outside app.css', () => {
	expect(Object.keys(sources).length).toBeGreaterThan(40);
	const raw =
		/#[\da-f]{3,8}\b(?=[\s;,)])|\b(rgba?|hsla?|oklch|lab|lch)\(|:\s*(white|black|red|green|blue|gr[ae]y)\s*[;,]/i;
	const found = Object.entries(sources).flatMap(([path, source]) => {
		const style = path.endsWith('.css')
			? source
			: (source.match(/<style[^>]*>([\s\S]*)<\/style>/)?.[1] ?? '');
		const line = style.split('\n').find((text) => raw.test(text));
		return line ? [`${path}: ${line.trim()}`] : [];
	});
	expect(found).toEqual([]);
});
