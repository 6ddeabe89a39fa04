// Whether the app's secrets cannot be had: there is no keychain, it is locked, or the file in its place wants its
// passphrase. Asked about once for each start of the page.

class SecretsNeeded {
	/**
	 * `make`: no keychain and no file; `locked`: a keychain that did not open, `instead`: a file in its place; `open`: a
	 * file that is sealed.
	 */
	ask = $state<'make' | 'locked' | 'instead' | 'open'>();
	#asked = false;

	heed(code: string): void {
		if (this.#asked) return;
		if (code === 'keychain_missing') this.ask = 'make';
		if (code === 'keychain_locked') this.ask = 'locked';
		if (code === 'passphrase_needed') this.ask = 'open';
		this.#asked = this.ask !== undefined;
	}

	useFile(): void {
		this.ask = 'instead';
	}

	later(): void {
		this.ask = undefined;
	}
}

export const secretsNeeded = new SecretsNeeded();
