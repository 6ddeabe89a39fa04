// @ts-check
// How a bench says what it measured.

/** @param {string} what @param {string} measured @param {boolean} met @param {string} wanted */
export const say = (what, measured, met, wanted) =>
	console.log(`${met ? 'met   ' : 'MISSED'} ${what}: ${measured} (wanted: ${wanted})`);
