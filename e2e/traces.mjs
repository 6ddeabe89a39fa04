// @ts-check
// What a page has kept, for whoever looks for what it must not keep.

/**
 * Text, attributes and what stands in fields, the address, cookies and all storage.
 * @param {import('playwright-core').Page} page @returns {Promise<string>}
 */
export function traces(page) {
	return page.evaluate(async () => {
		const wait = (/** @type {IDBRequest} */ request) =>
			new Promise((answer, refuse) => {
				request.onsuccess = () => answer(request.result);
				request.onerror = () => refuse(request.error);
			});
		const databases = [];
		for (const { name } of await indexedDB.databases()) {
			const database = await wait(indexedDB.open(/** @type {string} */ (name)));
			for (const store of database.objectStoreNames)
				databases.push(await wait(database.transaction(store).objectStore(store).getAll()));
			database.close();
		}
		const answers = [];
		for (const name of await caches.keys()) {
			const cache = await caches.open(name);
			for (const request of await cache.keys()) answers.push(await (await cache.match(request))?.text());
		}
		const fields = [...document.querySelectorAll('input, textarea, select')].map(
			(field) => /** @type {HTMLInputElement} */ (field).value
		);
		const kept = [{ ...localStorage }, { ...sessionStorage }, document.cookie, history.state];
		return JSON.stringify([
			document.documentElement.outerHTML,
			document.documentElement.innerText,
			document.title,
			location.href,
			fields,
			kept,
			databases,
			answers
		]);
	});
}
