/** What to paste so that an existing client asks models through Foreman. */

export const CLIENTS = ['openai', 'anthropic', 'curl'] as const;
export type Client = (typeof CLIENTS)[number];

/**
 * Where clients ask. In a browser that is where the page is; the page of an app's window is nowhere that anybody else could
 * reach, and what the server says of itself holds.
 */
export function baseOf(page: { origin: string; inApp: boolean }, publicUrl: string | undefined): string {
	return page.inApp ? (publicUrl ?? '') : page.origin;
}

/** `base`: the server's address, without a slash at its end. */
export function snippet(client: Client, base: string, secret: string): string {
	switch (client) {
		case 'openai':
			return [`export OPENAI_BASE_URL=${base}/v1`, `export OPENAI_API_KEY=${secret}`].join('\n');
		case 'anthropic':
			return [`export ANTHROPIC_BASE_URL=${base}`, `export ANTHROPIC_API_KEY=${secret}`].join('\n');
		case 'curl':
			return [
				`curl ${base}/v1/chat/completions \\`,
				`  -H "Authorization: Bearer ${secret}" \\`,
				'  -H "Content-Type: application/json" \\',
				`  -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'`
			].join('\n');
	}
}
