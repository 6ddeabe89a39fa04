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

/** A message as the dashboard shows it, with its placeholders filled. @param {string} key @param {Record<string, any>} [values] */
export function say(key, values = {}, words = english) {
	const message = words[key];
	if (typeof message !== 'string') throw new Error(`the catalogue has no plain message "${key}"`);
	return message.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}
