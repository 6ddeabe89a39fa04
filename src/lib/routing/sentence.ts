/** A way of choosing a model as one sentence, a choice with its reasons, and a model that was passed over. */
import type {
	MissCause,
	Route,
	RouteMiss,
	RouteReason,
	RoutingProfile,
	UnfitBecause,
	WaitedFor
} from '$lib/api/types';
import { tokens } from '$lib/format';
import { m } from '$lib/i18n';
import { useWord } from '$lib/providers/words';

/** "Local first, then the default provider, then by price. Only on your devices. At least 128k of context." */
export function profileSentence(profile: RoutingProfile): string {
	const sentences: string[] = [];
	const listed = profile.models.length > 0;
	if (profile.order === 'as_listed') sentences.push(m.routing_says_listed());
	else {
		if (listed) sentences.push(m.routing_says_first());
		sentences.push(profile.order === 'cheapest' ? m.routing_says_cheapest() : m.routing_says_local());
	}
	if (profile.private_only) sentences.push(m.routing_says_private());
	if (profile.use_for && profile.use_for !== 'all')
		sentences.push(m.routing_says_use({ use: useWord(profile.use_for) }));
	if (profile.min_context) sentences.push(m.routing_says_context({ tokens: tokens(profile.min_context) }));
	if (profile.by_request) sentences.push(m.routing_says_request());
	return sentences.join(' ');
}

/** The built-in ones have words of their own; others are called what they are. */
export function profileTitle(name: string): string {
	const titles: Record<string, () => string> = {
		auto: m.routing_profile_auto,
		'auto:private': m.routing_profile_private,
		'auto:cheapest': m.routing_profile_cheapest,
		'auto:code': m.routing_profile_code,
		'auto:research': m.routing_profile_research,
		'auto:long': m.routing_profile_long
	};
	return titles[name]?.() ?? name.replace(/^auto:/, '');
}

export function reasonWord(reason: RouteReason): string {
	return {
		asked: m.route_asked,
		private: m.route_private,
		local: m.route_local,
		loaded: m.route_loaded,
		cheapest: m.route_cheapest,
		listed: m.route_listed,
		default_provider: m.route_default_provider,
		code: m.route_code,
		research: m.route_research,
		long_context: m.route_long_context,
		able: m.route_able,
		fallback: m.route_fallback
	}[reason]();
}

/** "llama3.2 on home-server: private, loaded" */
export function routeSentence(route: Route): string {
	const where = route.device
		? m.route_on({ model: route.model, where: route.device })
		: m.route_from({ model: route.model, where: route.provider });
	return route.because.length === 0 ? where : `${where}: ${route.because.map(reasonWord).join(', ')}`;
}

/** A newer server may know causes that have no words here. */
export function causeWord(cause: MissCause): string {
	const words: Partial<Record<MissCause, () => string>> = {
		unreachable: m.miss_unreachable,
		timeout: m.miss_timeout,
		model_missing: m.miss_model_missing,
		rate_limited: m.miss_rate_limited,
		failed: m.miss_failed,
		paused: m.miss_paused,
		locked: m.miss_locked,
		key_refused: m.miss_key_refused,
		format: m.miss_format
	};
	return words[cause]?.() ?? cause;
}

/** Why a model could not take a request. A newer server may know reasons that have no words here. */
export function unfitWord(because: UnfitBecause): string {
	const words: Partial<Record<UnfitBecause, () => string>> = {
		disabled: m.unfit_disabled,
		not_private: m.unfit_not_private,
		use_for: m.unfit_use_for,
		context: m.unfit_context,
		tools: m.unfit_tools,
		vision: m.unfit_vision,
		kind: m.unfit_kind,
		key: m.unfit_key,
		price: m.unfit_price
	};
	return words[because]?.() ?? because;
}

/** What did not come in time. A newer server may wait for what has no word here. */
export function lateWord(waitedFor: WaitedFor | null | undefined): string | undefined {
	const words: Partial<Record<WaitedFor, () => string>> = {
		connection: m.miss_late_connection,
		first_token: m.miss_late_first_token
	};
	return waitedFor == null ? undefined : words[waitedFor]?.();
}

export function missSentence(miss: RouteMiss): string {
	const cause = lateWord(miss.waited_for) ?? causeWord(miss.cause);
	return `${miss.provider}/${miss.model}: ${miss.status == null ? cause : `${cause} (${miss.status})`}`;
}
