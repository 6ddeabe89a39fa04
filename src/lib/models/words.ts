// What is known of a model, as people read it.

import type { Model } from '$lib/api/types';
import { dollars } from '$lib/format';
import { language, m } from '$lib/i18n';

/** Where it is known from and since when; nothing when nothing is. */
export function sourceWord(model: Model): string {
	const day = model.known_at ? dayWord(model.known_at) : undefined;
	switch (model.known_from) {
		case 'provider':
			return m.model_from_provider();
		case 'table':
			return day ? m.model_from_table({ day }) : m.model_from_table_plain();
		case 'person':
			return day ? m.model_from_person_and_table({ day }) : m.model_from_person_plain();
		default:
			return m.model_from_nobody();
	}
}

/** `2026-11-01` as people write it; days know no time zone. */
export function dayWord(day: string): string {
	const at = Date.parse(`${day}T00:00:00Z`);
	if (Number.isNaN(at)) return day;
	return new Intl.DateTimeFormat(language.formats, { dateStyle: 'medium', timeZone: 'UTC' }).format(at);
}

/** `$3.00 in, $15.00 out`: for a million tokens each. */
export function priceWord(model: Model): string {
	if (model.private) return m.model_price_own();
	if (!model.price) return m.model_price_unknown();
	return m.model_price({
		input: dollars(model.price.input_micros),
		output: dollars(model.price.output_micros)
	});
}

export function canWords(model: Model): string[] {
	return [
		model.tools ? m.model_can_tools() : '',
		model.vision ? m.model_can_vision() : '',
		model.embeddings ? m.model_can_embeddings() : ''
	].filter(Boolean);
}
