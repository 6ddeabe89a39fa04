/** Where this account is told without a page: the list, and every change to it. */
import type { CreatePushReceiver, PushChoice, PushDetail, PushOffer, PushReceiver } from '$lib/api/types';
import { answer, pushFingerprint, request, type NoticeState } from '$lib/host';
import { language, type Language } from '$lib/i18n';

/** What is chosen for a receiver, whole. */
export interface Chosen {
	rules: NoticeState['choice'];
	says: PushDetail;
	language: Language;
	time_zone?: string;
}

/** What a new receiver is told: what needs somebody, and no more than that there is something. */
export function usualChoice(): Chosen {
	return {
		rules: { on: true, kinds: ['offline', 'task_failed', 'gpu_memory'], muted: [], quiet: null },
		says: 'little',
		language: language.current,
		time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone
	};
}

/** What a receiver is told now. */
export function chosenFor({ rules, says, language }: PushReceiver): Chosen {
	const usual = usualChoice();
	const { on, kinds, muted, quiet } = { ...usual.rules, ...rules };
	return {
		rules: { on, kinds: [...kinds], muted: [...muted], quiet: quiet ?? null },
		says: says ?? usual.says,
		language: language ?? usual.language
	};
}

export class Receivers {
	all = $state.raw<readonly PushReceiver[]>();
	offer = $state.raw<PushOffer>();
	problem = $state.raw<unknown>();
	/** Which of them this browser is, or this app. */
	here = $state<string>();

	readonly mine = $derived(this.all?.find((one) => one.fingerprint === this.here));

	async load(): Promise<void> {
		this.problem = undefined;
		try {
			// As many as one account may have fit into one page.
			const page = answer(request.GET('/api/v1/push/receivers', { params: { query: { limit: 200 } } }));
			[this.offer, this.all, this.here] = await Promise.all([
				answer(request.GET('/api/v1/push')),
				page.then(({ items }) => items),
				pushFingerprint().catch(() => undefined)
			]);
		} catch (thrown) {
			this.problem = thrown;
		}
	}

	async add(receiver: CreatePushReceiver): Promise<PushReceiver> {
		const made = await answer(request.POST('/api/v1/push/receivers', { body: receiver }));
		const others = (this.all ?? []).filter((one) => one.id !== made.id);
		this.all = [...others, made];
		return made;
	}

	async change(id: string, name: string, choice: PushChoice): Promise<void> {
		const params = { path: { id } };
		const body = { name, choice };
		const changed = await answer(request.PATCH('/api/v1/push/receivers/{id}', { params, body }));
		this.all = this.all?.map((one) => (one.id === id ? changed : one));
	}

	async remove(id: string): Promise<void> {
		await answer(request.DELETE('/api/v1/push/receivers/{id}', { params: { path: { id } } }));
		this.all = this.all?.filter((one) => one.id !== id);
	}

	/** Throws what the server says of it; either way the list then says how it went. */
	async test(id: string): Promise<void> {
		try {
			await answer(request.POST('/api/v1/push/receivers/{id}/test', { params: { path: { id } } }));
		} finally {
			await this.load();
		}
	}
}
