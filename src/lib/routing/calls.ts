// What the routing pages ask of the server.

import type { ExplainRoute, RouteExplained, Routing } from '$lib/api/types';
import { answer, request } from '$lib/host';

export function readRouting(): Promise<Routing> {
	return answer(request.GET('/api/v1/routing'));
}

/** The whole, made from the revision it names; `changed` when somebody was faster. */
export function putRouting(routing: Routing): Promise<Routing> {
	return answer(request.PUT('/api/v1/routing', { body: routing }));
}

/** Which model a request like this would get. Nothing is sent to any. */
export function explain(asked: ExplainRoute): Promise<RouteExplained> {
	return answer(request.POST('/api/v1/routing/explain', { body: asked }));
}
