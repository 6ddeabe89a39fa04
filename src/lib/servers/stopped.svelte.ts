// Whether the server that is shown is this computer's own, kept as a service, and does not run: then there is more to do
// than to wait for it.

import { app } from '$lib/host';

/** Asking starts a few programs. */
const PACE_MS = 5_000;

class Stopped {
	now = $state(false);

	/** Looks until what it returns is called. */
	watch() {
		const look = async () => {
			const { servers } = await app().servers.list();
			const here = servers.some((server) => server.selected && server.runs_here);
			const looks = here ? await app().servers.thisComputer() : undefined;
			this.now = !!looks?.kept && !looks.running;
		};
		const quietly = () => void look().catch(() => (this.now = false));
		quietly();
		const timer = setInterval(quietly, PACE_MS);
		return () => {
			clearInterval(timer);
			this.now = false;
		};
	}
}

export const stopped = new Stopped();
