// Absolute paths of a device, as text. Pure; what they lead to is the device's to say.

export function nameOf(path: string): string {
	return path.slice(path.lastIndexOf('/') + 1) || '/';
}

export function parentOf(path: string): string {
	const cut = path.lastIndexOf('/');
	return cut <= 0 ? '/' : path.slice(0, cut);
}

export function joined(folder: string, name: string): string {
	return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}

/** What lies below `folder` without it; the whole path when it is not beneath. */
export function below(folder: string, path: string): string {
	const start = folder.endsWith('/') ? folder : `${folder}/`;
	return path.startsWith(start) ? path.slice(start.length) : path;
}

export interface Crumb {
	name: string;
	path: string;
}

/** The way from the nearest root to a folder: a root is one step, whatever is above it is not to be seen. */
export function crumbs(path: string, roots: readonly string[]): Crumb[] {
	const holds = (root: string) => root === '/' || path === root || path.startsWith(`${root}/`);
	const root = roots.filter(holds).sort((a, b) => b.length - a.length)[0] ?? '/';
	const steps: Crumb[] = [{ name: root, path: root }];
	for (const name of below(root, path === root ? `${root}/` : path).split('/')) {
		if (name !== '') steps.push({ name, path: joined(steps.at(-1)!.path, name) });
	}
	return steps;
}

/** Why a name cannot be one, or nothing. */
export function badName(name: string): 'empty' | 'slash' | 'dots' | undefined {
	if (name.trim() === '') return 'empty';
	if (name.includes('/') || name.includes('\0')) return 'slash';
	return name === '.' || name === '..' ? 'dots' : undefined;
}

export function folderHref(device: string, path: string): string {
	return `/devices/${device}/files?${new URLSearchParams({ path })}`;
}

export function fileHref(device: string, path: string, line?: number): string {
	const query = new URLSearchParams({ path });
	if (line !== undefined) query.set('line', String(line));
	return `/devices/${device}/files/view?${query}`;
}
