// Which terminals are side by side, as the address says it: the one in the path, then those in `with`.

/** More beside each other than this can be read by nobody. */
export const MOST_PANES = 4;

export function panesFrom(first: string | undefined, parameters: URLSearchParams): string[] {
	if (!first) return [];
	const others = (parameters.get('with') ?? '').split(',').filter((id) => id !== '');
	return [...new Set([first, ...others])].slice(0, MOST_PANES);
}

/** The address of these terminals of a device. */
export function hrefOf(device: string, panes: readonly string[]): string {
	const [first, ...others] = panes;
	const base = `/devices/${device}/terminal`;
	if (first === undefined) return base;
	return `${base}/${first}${others.length > 0 ? `?with=${others.join(',')}` : ''}`;
}

/** Puts one beside the others, or leaves it where it is. */
export function beside(panes: readonly string[], id: string): string[] {
	if (panes.includes(id)) return [...panes];
	return [...panes.slice(0, MOST_PANES - 1), id];
}

export function without(panes: readonly string[], id: string): string[] {
	return panes.filter((one) => one !== id);
}

/** In the place of another. */
export function instead(panes: readonly string[], at: number, id: string): string[] {
	if (panes.includes(id)) return [...panes];
	return panes.length === 0 ? [id] : panes.map((one, index) => (index === at ? id : one));
}
