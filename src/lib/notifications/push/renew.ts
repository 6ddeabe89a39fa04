// This browser, or this app while it is closed, is told what is for whoever is signed in here now, or nothing.

import {
	answer,
	answerWorker,
	app,
	inApp,
	problemOf,
	pushTarget,
	request,
	unsubscribeFromPush
} from '$lib/host';

/** Once for each start of a page: somebody else may have signed in since, or the browser got another address. */
export async function renewPush(): Promise<void> {
	if (!inApp) answerWorker();
	const here = await (inApp ? askedAgain() : pushTarget()).catch(() => undefined);
	if (!here) return;
	const { kind, ...target } = here;
	try {
		await answer(request.POST('/api/v1/push/receivers/renew', { body: { target, kind } }));
	} catch (thrown) {
		// Not told under this account. Any other trouble is none of the page's: the next start tries again.
		if (problemOf(thrown).code === 'not_found') await unsubscribeFromPush().catch(() => {});
	}
}

/** Who brings the app's messages hears that somebody is still there, and says where it is reached by now. */
async function askedAgain() {
	const mine = (await app().phone.pushState())?.mine;
	if (!mine) return undefined;
	const { public_key } = await answer(request.GET('/api/v1/push'));
	const again = await app()
		.phone.registerPush(mine.distributor, public_key)
		.catch(() => mine);
	return again.target;
}
