/** Changes to the ways of choosing, as plain functions: the server takes the whole at once. */
import type { Routing, RoutingProfile } from '$lib/api/types';

/** Those that Foreman brings; they can be changed and not taken away. */
export const BUILT_IN: readonly string[] = [
	'auto',
	'auto:private',
	'auto:cheapest',
	'auto:code',
	'auto:research',
	'auto:long'
];

/** The list with one entry one place further up (-1) or down (1); the same when it cannot go there. */
export function moved<T>(list: readonly T[], index: number, by: -1 | 1): readonly T[] {
	const to = index + by;
	if (index < 0 || index >= list.length || to < 0 || to >= list.length) return list;
	const next = [...list];
	[next[index], next[to]] = [next[to]!, next[index]!];
	return next;
}

/** With this one in the place of the one of its name, or at the end. */
export function withProfile(routing: Routing, name: string | undefined, profile: RoutingProfile): Routing {
	const at = routing.profiles.findIndex((one) => one.name === name);
	const profiles =
		at === -1
			? [...routing.profiles, profile]
			: routing.profiles.map((one, index) => (index === at ? profile : one));
	return { ...routing, profiles };
}

export function withoutProfile(routing: Routing, name: string): Routing {
	return { ...routing, profiles: routing.profiles.filter((one) => one.name !== name) };
}

export type ProfileFault = 'name' | 'taken' | 'context' | 'models';

export interface ProfileDraft {
	/** After `auto:`; empty for `auto` itself. */
	name: string;
	context: string;
	profile: RoutingProfile;
}

/** `others`: the names of the other profiles. */
export function profileFaults(
	draft: ProfileDraft,
	contextTokens: number | undefined,
	others: readonly string[],
	builtIn: boolean
): ProfileFault[] {
	const faults: ProfileFault[] = [];
	if (!builtIn && !/^[a-z0-9-]{1,32}$/.test(draft.name)) faults.push('name');
	else if (!builtIn && others.includes(`auto:${draft.name}`)) faults.push('taken');
	if (draft.context.trim() !== '' && contextTokens === undefined) faults.push('context');
	if (draft.profile.order === 'as_listed' && draft.profile.models.length === 0) faults.push('models');
	return faults;
}
