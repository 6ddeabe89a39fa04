import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

const tauri = {
	group: ['@tauri-apps/*'],
	message: 'Only src/lib/host may know Tauri.'
};
const routes = {
	group: ['**/routes/**', '$routes/*'],
	message: 'Imports go ui ← feature ← routes.'
};
const icons = {
	regex: '^@lucide/svelte$',
	message: 'Import one icon: @lucide/svelte/icons/name. The whole set makes every build slow.'
};
const features = {
	regex: '^\\$lib/(?!(ui|format|i18n|paraglide|host|api)(/|$))|^\\.\\./',
	message: 'lib/ui knows no feature: imports go ui ← feature ← routes.'
};

export default ts.config(
	{
		ignores: [
			'build/',
			'target/',
			'.svelte-kit/',
			'src/lib/paraglide/',
			'src/lib/api/schema.d.ts',
			'src-tauri/',
			'test-results/'
		]
	},
	js.configs.recommended,
	...ts.configs.recommended,
	...svelte.configs.recommended,
	{
		languageOptions: { globals: { ...globals.browser, ...globals.node } },
		rules: {
			'no-undef': 'off',
			'@typescript-eslint/no-explicit-any': 'error',
			'@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
			// There is no base path: the dashboard is served at the root.
			'svelte/no-navigation-without-resolve': 'off',
			// Plain maps are right where nothing is drawn from them; where something is, a test would notice.
			'svelte/prefer-svelte-reactivity': 'off'
		}
	},
	{
		files: ['**/*.svelte', '**/*.svelte.ts'],
		languageOptions: {
			parserOptions: { extraFileExtensions: ['.svelte'], parser: ts.parser, svelteConfig }
		}
	},
	{
		files: ['src/**/*.{ts,svelte}'],
		rules: { 'no-restricted-imports': ['error', { patterns: [icons, tauri] }] }
	},
	{
		files: ['src/lib/**/*.{ts,svelte}'],
		rules: { 'no-restricted-imports': ['error', { patterns: [icons, tauri, routes] }] }
	},
	{
		files: ['src/lib/ui/**/*.{ts,svelte}'],
		rules: { 'no-restricted-imports': ['error', { patterns: [icons, tauri, routes, features] }] }
	},
	{
		files: ['src/lib/host/**/*.ts'],
		rules: { 'no-restricted-imports': ['error', { patterns: [icons, routes] }] }
	}
);
