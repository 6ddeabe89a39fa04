import { describe, expect, it } from 'vitest';
import { grouped, matching, type PaletteEntry } from './palette';

const entry = (label: string, group = 'a', also?: string): PaletteEntry => ({
	id: label,
	group,
	label,
	also,
	run: () => {}
});
const labels = (entries: PaletteEntry[]) => entries.map(({ label }) => label);

describe('matching', () => {
	const entries = [
		entry('Home'),
		entry('jetson-orin'),
		entry('DGX Spark'),
		entry('Geräte'),
		entry('train spark.py')
	];

	it('offers everything for nothing', () => {
		expect(labels(matching(entries, '  '))).toEqual(labels(entries));
	});

	it('puts what begins with the words first', () => {
		expect(labels(matching([entry('my home'), entry('Home'), entry('chrome')], 'hom'))).toEqual([
			'Home',
			'my home'
		]);
	});

	it('wants every word, in any order', () => {
		expect(labels(matching(entries, 'spark dgx'))).toEqual(['DGX Spark']);
		expect(matching(entries, 'spark orin')).toEqual([]);
	});

	it('finds words after a dash, and without accents', () => {
		expect(labels(matching(entries, 'orin'))).toEqual(['jetson-orin']);
		expect(labels(matching(entries, 'gerate'))).toEqual(['Geräte']);
	});

	it('finds by other words too', () => {
		expect(labels(matching([entry('Settings', 'a', 'theme language')], 'lang'))).toEqual(['Settings']);
	});
});

describe('grouped', () => {
	it('keeps groups in the order of their best entry', () => {
		const groups = grouped([entry('1', 'x'), entry('2', 'y'), entry('3', 'x')]);
		expect(groups.map(({ group, entries }) => [group, labels(entries)])).toEqual([
			['x', ['1', '3']],
			['y', ['2']]
		]);
	});
});
