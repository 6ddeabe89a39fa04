// What a key can be limited to: ways of choosing, all of a provider, single models.

import { allModels } from '$lib/providers/calls';
import { readRouting } from '$lib/routing/calls';

export async function namesToAskFor(): Promise<string[]> {
	const [routing, models] = await Promise.all([readRouting(), allModels()]);
	const providers = [...new Set(models.map(({ provider }) => provider))].sort();
	return [
		...routing.profiles.map(({ name }) => name),
		...providers.map((provider) => `${provider}/*`),
		...models.map(({ provider, id }) => `${provider}/${id}`)
	];
}
