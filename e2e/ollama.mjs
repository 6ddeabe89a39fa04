// @ts-check
// An Ollama-shaped server, the same that the journeys in Rust use: journeys/src/ollama.rs speaks its published API. It
// says what the test puts into its mouth and can be held in the middle of a sentence or a pull, or stopped.
import { join } from 'node:path';
import { PROGRAMS, Program, atEnd, eventually } from './stack.mjs';

export class Ollama {
	/** `qwen3:8b=5200000000` has that size in bytes. @param {string[]} names */
	constructor(names = ['llama3.2:latest']) {
		this.names = names;
		/** In the form of `OLLAMA_HOST`. */
		this.host = '';
	}

	/** @param {import('node:test').TestContext} test */
	async start(test) {
		const program = new Program(join(PROGRAMS, 'model-stub'), ['--ollama', ...this.names], { input: null });
		this.program = program;
		atEnd(test, () => this.stop());
		const [, url] = await program.line(/^listening on (http:\/\/\S+)/);
		this.host = new URL(url).host;
		return this;
	}

	/** As when somebody ends it: nothing listens any more. */
	async stop() {
		await this.program?.stop();
	}

	/** What it answers, `{question}` being what it was asked, and how many characters at once. @param {string} say */
	says(say, piece = 0) {
		return this.tell({ say, piece });
	}

	/** From now on answers and pulls wait after so many pieces, all together. @param {number} pieces */
	hold(pieces) {
		return this.tell({ may: pieces - 1 });
	}

	/** What is held goes on by so many steps. @param {number} steps */
	goOn(steps) {
		return this.tell({ more: steps });
	}

	/** What is in memory from now on. @param {string[]} names */
	loads(...names) {
		return this.tell({ loaded: names });
	}

	/** What is held goes on, and nothing is held any more. */
	release() {
		return this.tell({ may: 'all' });
	}

	/** Bodies of what it was asked. @returns {Promise<any[]>} */
	async asked() {
		return (await this.state()).questions;
	}

	/** Until so many answers and pulls were given up by the other side. @param {number} times */
	givenUp(times) {
		return eventually(async () => (await this.state()).given_up === times);
	}

	/** @returns {Promise<{ names: string[], calls: string[], questions: any[], pulls: number, given_up: number }>} */
	async state() {
		return (await fetch(`http://${this.host}/control`)).json();
	}

	/** @param {object} what */
	async tell(what) {
		const told = await fetch(`http://${this.host}/control`, {
			method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify(what)
		});
		if (!told.ok) throw new Error(`${told.status} ${await told.text()}`);
	}
}
