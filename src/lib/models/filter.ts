/** Which models the catalogue shows, as the URL says it, and the rows that fit. */
import type { Model } from '$lib/api/types';

export const CAN = ['tools', 'vision', 'embeddings', 'private'] as const;
export type Can = (typeof CAN)[number];

export interface ModelFilter {
	text?: string;
	/** A provider's name. */
	provider?: string;
	/** All of these. */
	can: Can[];
	/** At least this many tokens of context. */
	context?: number;
}

export function filterFrom(parameters: URLSearchParams): ModelFilter {
	const can = (parameters.get('can') ?? '').split(',');
	const context = Number(parameters.get('context'));
	return {
		text: parameters.get('q') || undefined,
		provider: parameters.get('provider') || undefined,
		can: CAN.filter((one) => can.includes(one)),
		context: Number.isInteger(context) && context > 0 ? context : undefined
	};
}

/** `?…` for the address, empty when nothing is filtered. */
export function searchOf(filter: ModelFilter): string {
	const parameters = new URLSearchParams();
	if (filter.text) parameters.set('q', filter.text);
	if (filter.provider) parameters.set('provider', filter.provider);
	if (filter.can.length > 0) parameters.set('can', filter.can.join(','));
	if (filter.context) parameters.set('context', String(filter.context));
	const text = parameters.toString();
	return text === '' ? '' : `?${text}`;
}

export function isFiltered(filter: ModelFilter): boolean {
	return searchOf(filter) !== '';
}

/** Those that fit, own devices first, then by provider and name. What is not known does not fit. */
export function fitting(models: readonly Model[], filter: ModelFilter): Model[] {
	const words = (filter.text ?? '').toLowerCase().split(/\s+/).filter(Boolean);
	return models
		.filter((model) => {
			const name = `${model.provider}/${model.id}`.toLowerCase();
			return (
				words.every((word) => name.includes(word)) &&
				(!filter.provider || model.provider === filter.provider) &&
				filter.can.every((can) => model[can] === true) &&
				(!filter.context || (model.context_tokens ?? 0) >= filter.context)
			);
		})
		.sort(
			(a, b) =>
				Number(b.private) - Number(a.private) ||
				a.provider.localeCompare(b.provider) ||
				a.id.localeCompare(b.id)
		);
}
