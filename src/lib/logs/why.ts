// Why a log cannot be read, or not any more, in the reader's language.

import type { LogReason } from '$lib/api/types';
import { m } from '$lib/i18n';

export interface Why {
	/** In English, of devices that know no codes, and of codes that are not known here. */
	reason?: string | null;
	code?: LogReason | string | null;
	detail?: string | number | null;
}

type Word = (detail: string) => string;

const WORDS: Record<Exclude<LogReason, 'unknown'>, Word> = {
	not_installed: () => m.logs_why_not_installed(),
	no_right: (group) => (group === '' ? m.logs_why_no_right() : m.logs_why_no_right_group({ group })),
	too_slow: () => m.logs_why_too_slow(),
	no_answer: () => m.logs_why_no_answer(),
	nothing_written: () => m.logs_why_nothing_written(),
	forbidden: (setting) => m.logs_why_forbidden({ setting }),
	container_stopped: () => m.logs_why_container_stopped(),
	with_server: () => m.logs_why_with_server(),
	too_many_readers: (count) => m.logs_why_too_many({ count }),
	said: (words) => m.logs_why_said({ words })
};

export function whyWords({ reason, code, detail }: Why): string {
	const word = new Map<unknown, Word>(Object.entries(WORDS)).get(code);
	return word ? word(String(detail ?? '')) : (reason ?? '');
}
