// Ranges, measures and groups in words.

import { count, dollars, tokens } from '$lib/format';
import { m } from '$lib/i18n';
import { dayWord } from '$lib/models/words';
import type { Measure } from './days';
import type { By, RangeName } from './range';

export function rangeWord(range: RangeName): string {
	return {
		today: m.usage_today,
		'7': m.usage_week,
		'30': m.usage_month,
		custom: m.usage_custom
	}[range]();
}

export function byWord(by: By): string {
	return {
		model: m.usage_by_model,
		provider: m.usage_by_provider,
		device: m.usage_by_device,
		key: m.usage_by_key,
		project: m.usage_by_project,
		day: m.usage_by_day
	}[by]();
}

export function measureWord(measure: Measure): string {
	return { cost: m.usage_cost, tokens: m.usage_tokens, requests: m.usage_requests }[measure]();
}

export function valueWord(value: number, measure: Measure): string {
	return measure === 'cost' ? dollars(value) : measure === 'tokens' ? tokens(value) : count(value);
}

/** What a row is called; requests that had no device, key or project have a word for that. */
export function nameWord(name: string, by: By): string {
	if (by === 'day') return dayWord(name);
	if (name !== '') return name;
	return by === 'device' ? m.usage_no_device() : by === 'key' ? m.usage_no_key() : m.usage_no_project();
}
