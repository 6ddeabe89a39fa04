// What may be asked: ways of choosing first, then models by their provider.

import type { components } from '$lib/api/schema';
import type { Model } from './types';

export type RoutingProfile = components['schemas']['RoutingProfile'];

export type Choice =
	| { kind: 'profile'; value: string; profile: RoutingProfile }
	| { kind: 'model'; value: string; model: Model };

export interface ChoiceGroup {
	/** A provider's name; nothing for the ways of choosing. */
	provider?: string;
	choices: Choice[];
}

/** What has all words of a search, in this order: ways of choosing, one's own devices, the rest by name. */
export function choicesFor(
	profiles: readonly RoutingProfile[],
	models: readonly Model[],
	query: string
): ChoiceGroup[] {
	const words = query.toLowerCase().split(/\s+/).filter(Boolean);
	const fits = (text: string) => words.every((word) => text.toLowerCase().includes(word));
	const groups: ChoiceGroup[] = [];
	const ways = profiles.filter((profile) => fits(profile.name));
	if (ways.length > 0) {
		groups.push({
			choices: ways.map((profile) => ({ kind: 'profile', value: profile.name, profile }))
		});
	}
	const byProvider = new Map<string, Model[]>();
	for (const model of models) {
		if (!fits(`${model.provider}/${model.id}`)) continue;
		byProvider.set(model.provider, [...(byProvider.get(model.provider) ?? []), model]);
	}
	const own = (all: readonly Model[]) => (all.some((model) => model.private) ? 0 : 1);
	const providers = [...byProvider].sort(([a, of], [b, others]) => own(of) - own(others) || (a < b ? -1 : 1));
	for (const [provider, all] of providers) {
		const choices = all
			.toSorted((a, b) => Number(b.loaded ?? false) - Number(a.loaded ?? false) || (a.id < b.id ? -1 : 1))
			.map((model): Choice => ({ kind: 'model', value: `${model.provider}/${model.id}`, model }));
		groups.push({ provider, choices });
	}
	return groups;
}
