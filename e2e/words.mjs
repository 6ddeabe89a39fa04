// @ts-check
// The words of the dashboard, from the same catalogue: journeys find things by role and name, and a better name
// must not break them.
import { readdirSync, readFileSync } from 'node:fs';

/** @param {'en' | 'de'} language @returns {Record<string, any>} */
export function catalogue(language) {
	const folder = new URL(`../messages/${language}/`, import.meta.url);
	const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
	return Object.assign({}, ...files.map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8'))));
}

const english = catalogue('en');

/**
 * A message as the dashboard shows it, with its placeholders filled; of several forms the one for `count`.
 * @param {string} key @param {Record<string, any>} [values]
 */
export function say(key, values = {}, words = english) {
	const message = words[key];
	if (message === undefined) throw new Error(`the catalogue has no message "${key}"`);
	const text = typeof message === 'string' ? message : formFor(message[0].match, values.count);
	return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** @param {Record<string, string>} forms @param {unknown} count @returns {string} */
function formFor(forms, count) {
	const wanted = count === 1 ? 'one' : 'other';
	const [, text] = Object.entries(forms).find(([condition]) => condition.endsWith(`=${wanted}`)) ?? [];
	if (text === undefined) throw new Error(`no form for ${count} among ${Object.keys(forms)}`);
	return text;
}
