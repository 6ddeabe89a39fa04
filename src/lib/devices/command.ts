// The command that connects a machine, with what it may do on it.

/** What `--allow` knows, in the order shown. */
export const ALLOWANCES = ['bash', 'read', 'write', 'logs'] as const;
export type Allowance = (typeof ALLOWANCES)[number];

/** `foreman-agent connect …` with the chosen allowances. None chosen is none said: the default allows nothing. */
export function connectWith(command: string, allow: readonly Allowance[]): string {
	return allow.length === 0 ? command : `${command} --allow ${allow.join(',')}`;
}

/** The installer reads no arguments from the pipe it runs in: it hands its environment on to the agent. */
export function installWith(command: string, allow: readonly Allowance[]): string {
	return allow.length === 0
		? command
		: command.replace('FOREMAN_TOKEN=', `FOREMAN_ALLOW=${allow.join(',')} FOREMAN_TOKEN=`);
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
