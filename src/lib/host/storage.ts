// Small things kept on this device: theme, language, pins. Storage that is switched off or full
// costs the memory of a choice, never the choice itself.

const memory = new Map<string, string>();

export function kept(key: string): string | undefined {
	try {
		return localStorage.getItem(key) ?? memory.get(key);
	} catch {
		return memory.get(key);
	}
}

export function keptNames(): string[] {
	try {
		return [...new Set([...Object.keys(localStorage), ...memory.keys()])];
	} catch {
		return [...memory.keys()];
	}
}

export function keep(key: string, value: string): void {
	memory.set(key, value);
	try {
		localStorage.setItem(key, value);
	} catch {
		// Kept in memory for as long as this page lives.
	}
}

export function forget(key: string): void {
	memory.delete(key);
	try {
		localStorage.removeItem(key);
	} catch {
		// Nothing was kept.
	}
}
