// The command that connects a machine, with what it may do on it.

/** What `--allow` knows, in the order shown. */
export const ALLOWANCES = ['bash', 'read', 'write', 'logs'] as const;
export type Allowance = (typeof ALLOWANCES)[number];

/** The server's command with the chosen allowances; none chosen is none said, since the default allows nothing. */
export function withAllowances(command: string, allow: readonly Allowance[]): string {
	return allow.length === 0 ? command : `${command} --allow ${allow.join(',')}`;
}

/** An address that only this computer can reach. */
export function isLoopback(address: string): boolean {
	try {
		const { hostname } = new URL(address);
		return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
	} catch {
		return false;
	}
}
