// Which model answered and why, in words; and what a way of choosing means.

import type { RoutingProfile } from './picker';
import { dollars, duration, tokens } from '$lib/format';
import { m } from '$lib/i18n';
import { lateWord, unfitWord } from '$lib/routing/sentence';
import type { Message, Route, RouteMiss, RouteReason } from './types';

const REASONS: Record<RouteReason, () => string> = {
	asked: m.chat_because_asked,
	private: m.chat_because_private,
	local: m.chat_because_local,
	loaded: m.chat_because_loaded,
	cheapest: m.chat_because_cheapest,
	listed: m.chat_because_listed,
	default_provider: m.chat_because_default_provider,
	code: m.chat_because_code,
	research: m.chat_because_research,
	long_context: m.chat_because_long_context,
	able: m.chat_because_able,
	fallback: m.chat_because_fallback
};

const MISSES: Record<RouteMiss['cause'], () => string> = {
	unreachable: m.chat_miss_unreachable,
	timeout: m.chat_miss_timeout,
	model_missing: m.chat_miss_model_missing,
	rate_limited: m.chat_miss_rate_limited,
	failed: m.chat_miss_failed,
	paused: m.chat_miss_paused,
	locked: m.chat_miss_locked,
	key_refused: m.chat_miss_key_refused,
	format: m.chat_miss_format
};

/** `llama3.2 on home-server`, `claude-sonnet-5 at anthropic`. */
export function whereWords(route: Route): string {
	return route.device
		? m.chat_model_on({ model: route.model, device: route.device })
		: m.chat_model_at({ model: route.model, provider: route.provider });
}

/** `private, loaded`. A newer server may know reasons that have no words here. */
export function reasonWords(route: Route): string {
	return route.because.flatMap((reason) => REASONS[reason]?.() ?? []).join(', ');
}

/** `llama3.2 at home-ollama did not answer (502)`. */
export function missWords(miss: RouteMiss): string {
	const cause = lateWord(miss.waited_for) ?? MISSES[miss.cause]?.() ?? miss.cause;
	const status = miss.status ? ` (${miss.status})` : '';
	return `${m.chat_model_at({ model: miss.model, provider: miss.provider })}: ${cause}${status}`;
}

/** `several of lab: would leave your devices; spare/small: switched off`. */
export function notConsideredWords(route: Route): string {
	const words = (route.not_considered ?? []).map(({ provider, model, because }) => {
		const what = model ? `${provider}/${model}` : m.chat_several_of({ provider });
		return `${what}: ${unfitWord(because)}`;
	});
	return words.length > 0 ? m.chat_not_considered({ models: words.join('; ') }) : '';
}

/** `1,204 in · 318 out · $0.004 · first word after 0.4 s`. */
export function usageWords(message: Message): string {
	const usage = message.usage;
	if (!usage) return '';
	const parts: string[] = [
		m.chat_usage_in({ count: tokens(usage.input_tokens) }),
		m.chat_usage_out({ count: tokens(usage.output_tokens) })
	];
	if (usage.cached_tokens > 0) parts.push(m.chat_usage_cached({ count: tokens(usage.cached_tokens) }));
	if (usage.cost_micros != null) {
		parts.push(usage.cost_micros === 0 ? m.chat_usage_free() : dollars(usage.cost_micros));
	}
	if (usage.first_token_ms != null) {
		parts.push(m.chat_usage_first({ time: duration(usage.first_token_ms) }));
	}
	return parts.join(' · ');
}

/** What an automatic choice does. */
export function profileWords(profile: RoutingProfile): string {
	switch (profile.name) {
		case 'auto':
			return m.chat_profile_auto();
		case 'auto:private':
			return m.chat_profile_private();
		case 'auto:cheapest':
			return m.chat_profile_cheapest();
		case 'auto:code':
			return m.chat_profile_code();
		case 'auto:research':
			return m.chat_profile_research();
		case 'auto:long':
			return m.chat_profile_long();
		default:
			return profile.private_only ? m.chat_profile_private() : m.chat_profile_own();
	}
}
