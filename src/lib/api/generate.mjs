// `npm run gen`: openapi.json, as the server prints it, becomes schema.d.ts.

import { readFileSync, writeFileSync } from 'node:fs';
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript';

const description = JSON.parse(readFileSync('openapi.json', 'utf8'));
// Absent is how the wire says null, so such a field is optional and not always there.
walk(description.components.schemas, (schema) => {
	if (schema.default === null) delete schema.default;
	// A measurement leaves its empty lists out.
	const { uptime_s, temperatures, gpus, loaded_models } = schema.properties ?? {};
	if (uptime_s) for (const list of [temperatures, gpus, loaded_models]) delete list?.default;
});
const types = await openapiTS(description);
writeFileSync('src/lib/api/schema.d.ts', COMMENT_HEADER + astToString(types));

function walk(value, visit) {
	if (typeof value !== 'object' || value === null) return;
	visit(value);
	for (const inner of Object.values(value)) walk(inner, visit);
}
