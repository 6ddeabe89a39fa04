// Draws TeX with KaTeX, which is a chunk of its own.

let library: Promise<(typeof import('katex'))['default']> | undefined;

async function load() {
	const [{ default: katex }] = await Promise.all([import('katex'), import('katex/dist/katex.min.css')]);
	return katex;
}

/** Draws into the element once the library is here; returns how to stop. */
export function drawFormula(node: HTMLElement, tex: string, display: boolean): () => void {
	let gone = false;
	library ??= load();
	library.then(
		(katex) => {
			if (gone) return;
			try {
				// Nothing a model writes may make links, load pictures or grow without bounds.
				katex.render(tex, node, {
					displayMode: display,
					throwOnError: true,
					trust: false,
					strict: 'ignore',
					maxSize: 20,
					maxExpand: 200,
					output: 'htmlAndMathml'
				});
			} catch {
				node.textContent = tex;
			}
		},
		() => {
			// Offline: the source stays, and the next formula tries again.
			library = undefined;
		}
	);
	return () => {
		gone = true;
	};
}
