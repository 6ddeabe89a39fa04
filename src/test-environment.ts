// Where unit tests run: Node without a DOM, but compiled as for the browser, so that runes react as in the product.

import type { Environment } from 'vitest/runtime';

export default {
	name: 'runes',
	viteEnvironment: 'client',
	setup: () => ({ teardown: () => {} })
} satisfies Environment;
