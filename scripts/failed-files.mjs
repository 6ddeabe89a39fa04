/** A reporter of `node --test` that names the files in which a test failed, a line each. */
import { relative } from 'node:path';

/** @param {AsyncIterable<{ type: string, data: { file?: string } }>} events */
export default async function* failedFiles(events) {
	for await (const { type, data } of events)
		if (type === 'test:fail' && data.file) yield `${relative('', data.file)}\n`;
}
