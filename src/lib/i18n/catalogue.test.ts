import { describe, expect, it } from 'vitest';

type Catalogue = Record<string, unknown>;

const files = import.meta.glob<Catalogue>('/messages/*/*.json', { eager: true, import: 'default' });
const of = (locale: string) =>
	Object.entries(files).filter(([path]) => path.startsWith(`/messages/${locale}/`));
const merged = (locale: string): Catalogue => {
	const entries = of(locale).flatMap(([, catalogue]) => Object.entries(catalogue));
	return Object.fromEntries(entries.filter(([key]) => key !== '$schema'));
};
/** The names in braces, which the code passes. */
const inputs = (message: unknown) => [...new Set(JSON.stringify(message).match(/\{\w+\}/g) ?? [])].sort();

describe('the catalogue', () => {
	const english = merged('en');
	const german = merged('de');

	it('is there at all', () => {
		expect(Object.keys(english).length).toBeGreaterThan(100);
	});

	it('says everything in both languages', () => {
		expect(Object.keys(german).sort()).toEqual(Object.keys(english).sort());
	});

	it('has each message in one file only', () => {
		const keys = of('en').flatMap(([, catalogue]) =>
			Object.keys(catalogue).filter((key) => key !== '$schema')
		);
		expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
	});

	it('takes the same inputs in both, and is never empty', () => {
		for (const [key, message] of Object.entries(english)) {
			expect(inputs(german[key]), key).toEqual(inputs(message));
			expect(message, key).not.toBe('');
			expect(german[key], key).not.toBe('');
		}
	});
});

describe('what a phone’s system says for the app', () => {
	const raw = import.meta.glob<string>(
		[
			'/src-tauri/Info.ios.plist',
			'/src-tauri/ios/words/*/InfoPlist.strings',
			'/src-tauri/gen/android/app/src/main/res/values*/strings.xml'
		],
		{ eager: true, query: '?raw', import: 'default' }
	);
	const said = (path: string, pair: RegExp) =>
		Object.fromEntries([...(raw[path] ?? '').matchAll(pair)].map(([, key, words]) => [key, words]));
	const apple = (locale: string) =>
		said(`/src-tauri/ios/words/${locale}.lproj/InfoPlist.strings`, /^"(\w+)" = "(.+)";$/gm);
	const android = (folder: string) =>
		said(
			`/src-tauri/gen/android/app/src/main/res/${folder}/strings.xml`,
			/<string name="(\w+)">(.+)<\/string>/g
		);

	it('is on an iPhone what is asked for without a language, and the same in German', () => {
		const asked = said(
			'/src-tauri/Info.ios.plist',
			/<key>(\w+UsageDescription)<\/key>\s*<string>(.+)<\/string>/g
		);
		expect(Object.keys(asked).length).toBeGreaterThan(0);
		expect(apple('en')).toEqual(asked);
		expect(Object.keys(apple('de'))).toEqual(Object.keys(asked));
		for (const [key, words] of Object.entries(apple('de'))) expect(words, key).not.toBe(asked[key]);
	});

	it('is on Android in German what is not a name', () => {
		const names = ['app_name', 'main_activity_title'];
		const asked = Object.keys(android('values')).filter((key) => !names.includes(key));
		expect(asked.length).toBeGreaterThan(0);
		expect(Object.keys(android('values-de'))).toEqual(asked);
	});
});
