// Whether the app shows nothing until the phone's person showed who they are.

class Locked {
	now = $state(false);

	heed(code: string): void {
		if (code === 'locked') this.now = true;
	}
}

export const locked = new Locked();
