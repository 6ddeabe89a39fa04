/** What a press sets off: whether it is under way, and why the last one did not succeed. */
export class Press {
	pending = $state(false);
	problem = $state.raw<unknown>();

	async run(act: () => Promise<unknown>): Promise<void> {
		this.pending = true;
		this.problem = undefined;
		try {
			await act();
		} catch (thrown) {
			this.problem = thrown;
		} finally {
			this.pending = false;
		}
	}
}
