// Whether the app's secrets cannot be had: there is no keychain, or the file in its place wants its passphrase. Asked
// about once for each start of the page.

class SecretsNeeded {
	/** `make`: no keychain and no file; `open`: a file that is sealed. */
	ask = $state<'make' | 'open'>();
	#asked = false;

	heed(code: string): void {
		if (this.#asked) return;
		if (code === 'keychain_missing') this.ask = 'make';
		if (code === 'passphrase_needed') this.ask = 'open';
		this.#asked = this.ask !== undefined;
	}

	later(): void {
		this.ask = undefined;
	}
}

export const secretsNeeded = new SecretsNeeded();
