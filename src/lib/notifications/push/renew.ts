// This browser is told what is for whoever is signed in here now, or nothing.

import {
	answer,
	answerWorker,
	inApp,
	problemOf,
	pushEndpoint,
	request,
	unsubscribeFromPush
} from '$lib/host';

/** Once for each start of a page: somebody else may have signed in since, or the browser got another address. */
export async function renewPush(): Promise<void> {
	if (inApp) return;
	answerWorker();
	const target = await pushEndpoint().catch(() => undefined);
	if (!target) return;
	try {
		await answer(request.POST('/api/v1/push/receivers/renew', { body: { target } }));
	} catch (thrown) {
		// Not told under this account. Any other trouble is none of the page's: the next start tries again.
		if (problemOf(thrown).code === 'not_found') await unsubscribeFromPush().catch(() => {});
	}
}
