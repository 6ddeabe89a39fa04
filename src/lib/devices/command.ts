// The command that connects a machine, with what it may do on it.

/** What `--allow` knows, in the order shown. */
export const ALLOWANCES = ['bash', 'read', 'write', 'logs'] as const;
export type Allowance = (typeof ALLOWANCES)[number];

/** What the device lets its server and this dashboard do. */
export const DASHBOARD = ['operate', 'view', 'none'] as const;
export type Dashboard = (typeof DASHBOARD)[number];

/**
 * `foreman-agent connect …` with what was chosen. Nothing allowed is nothing said, and so is the usual `operate`. An
 * `owner` is trusted from the start: the key of the app where somebody adds the device.
 */
export function connectWith(
	command: string,
	allow: readonly Allowance[],
	dashboard: Dashboard = 'operate',
	owner?: string
): string {
	const allowed = allow.length === 0 ? '' : ` --allow ${allow.join(',')}`;
	const level = dashboard === 'operate' ? '' : ` --dashboard ${dashboard}`;
	return `${command}${allowed}${level}${owner === undefined ? '' : ` --owner ${owner}`}`;
}

/** The installer reads no arguments from the pipe it runs in: it hands its environment on to the agent. */
export function installWith(
	command: string,
	allow: readonly Allowance[],
	dashboard: Dashboard = 'operate',
	owner?: string
): string {
	const said = [
		...(allow.length === 0 ? [] : [`FOREMAN_ALLOW=${allow.join(',')}`]),
		...(dashboard === 'operate' ? [] : [`FOREMAN_DASHBOARD=${dashboard}`]),
		...(owner === undefined ? [] : [`FOREMAN_OWNER=${owner}`]),
		'FOREMAN_TOKEN='
	];
	return command.replace('FOREMAN_TOKEN=', said.join(' '));
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
