// @ts-check
// What a desktop has beside its windows: who shows notifications, and who shows icons in a tray. Both are one small
// program on the test's own bus, and here is what a person sees and does there.
import { eventually } from '../e2e/stack.mjs';

/** @typedef {{ shown: number, title: string, body: string, actions: string[] }} Notice */

export class Services {
	/** @param {import('../e2e/stack.mjs').Program} program */
	constructor(program) {
		this.program = program;
	}

	/** What was said so far. @returns {any[]} */
	get said() {
		return this.program.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
	}

	/** Every notification so far, the oldest first. @returns {Notice[]} */
	get notices() {
		return this.said.filter((one) => 'shown' in one);
	}

	/** The first notification with this title, as soon as there is one. @param {string} title @returns {Promise<Notice>} */
	notice(title) {
		return eventually(async () => this.notices.find((one) => one.title === title));
	}

	/** Until it was taken back. @param {Notice} notice */
	withdrawn(notice) {
		return eventually(async () => this.said.some((one) => one.withdrawn === notice.shown));
	}

	/** @param {string} line */
	#do(line) {
		this.program.child.stdin.write(`${line}\n`);
	}

	/** @param {Notice} notice @param {string} [key] */
	press(notice, key = 'default') {
		this.#do(`press ${notice.shown} ${key}`);
	}

	/** What it says to this question now. @param {'menu' | 'secrets'} about @returns {Promise<string[]>} */
	async #ask(about) {
		const before = this.said.filter((one) => about in one).length;
		this.#do(about);
		const all = await eventually(async () => {
			const answers = this.said.filter((one) => about in one);
			return answers.length > before && answers;
		});
		return all.at(-1)[about];
	}

	/** What the menu in the tray says now. */
	menu() {
		return this.#ask('menu');
	}

	/** All that the app keeps in the keyring. */
	secrets() {
		return this.#ask('secrets');
	}

	/** Until the menu says this. @param {string} words */
	says(words) {
		return eventually(async () => (await this.menu()).includes(words));
	}

	/** @param {string} label */
	choose(label) {
		this.#do(`choose ${label}`);
	}
}
