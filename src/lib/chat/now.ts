// What would be taken now, beside what may be chosen; and what is known here of the question for it.

import type { ProviderAway, RoutingNow } from '$lib/api/types';
import { tokens } from '$lib/format';
import { m } from '$lib/i18n';
import { priceWord } from '$lib/models/words';
import { asksOf } from '$lib/routing/request';
import { causeWord } from '$lib/routing/sentence';
import type { ChatAttachment, Message, Model } from './types';
import { missWords, reasonWords, whereWords } from './words';

/** What decides where a question goes. */
export interface Asks {
	/** Tokens, with all that goes along. */
	input_tokens: number;
	code: boolean;
	vision: boolean;
}

/** Of a question with these words and files that follows these messages, as far as they are loaded. */
export function asksAfter(
	messages: readonly Message[],
	text: string,
	files: readonly ChatAttachment[] = []
): Asks {
	const counted = messages.findLastIndex((message) => message.usage != null);
	const usage = messages[counted]?.usage;
	// The last answer tells how long all was until then.
	const rest = [...messages.slice(counted + 1).map((message) => message.text), text].join('');
	const asked = asksOf(rest, 'auto', []);
	const pictures = (of: readonly ChatAttachment[]) =>
		of.some(({ media_type }) => media_type.startsWith('image/'));
	return {
		input_tokens: (asked.input_tokens ?? 0) + (usage ? usage.input_tokens + usage.output_tokens : 0),
		code: text.includes('```') || messages.some((message) => message.text.includes('```')),
		vision: pictures(files) || messages.some((message) => pictures(message.attachments))
	};
}

/** "now: llama3.2 on home-server: local, loaded", and whom it stands in for. */
export function nowWords(profile: string, now: RoutingNow | undefined): string {
	const found = now?.profiles.find((one) => one.profile === profile);
	if (!found) return '';
	const { route } = found;
	if (!route) return m.chat_now_none();
	const why = reasonWords(route);
	const model = why === '' ? whereWords(route) : `${whereWords(route)}: ${why}`;
	if (route.instead_of.length === 0) return m.chat_now({ model });
	return m.chat_now_instead({ model, missed: route.instead_of.map(missWords).join('; ') });
}

/** Why a model would not answer now. */
export function awayWords(model: Model, now: RoutingNow | undefined): string {
	const away = now?.away.find((one: ProviderAway) => one.provider_id === model.provider_id);
	return away ? causeWord(away.cause) : '';
}

/** What is known of a model: where it runs, what it costs, how much it takes. */
export function modelWords(model: Model): string {
	return [
		model.private ? m.chat_model_private() : '',
		model.loaded ? m.chat_because_loaded() : '',
		model.private ? '' : model.price ? m.chat_model_price({ price: priceWord(model) }) : priceWord(model),
		model.context_tokens ? m.chat_model_context({ count: tokens(model.context_tokens) }) : ''
	]
		.filter(Boolean)
		.join(' · ');
}
