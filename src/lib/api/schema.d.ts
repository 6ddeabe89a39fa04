// The API's paths in the shape openapi-typescript generates (`npm run gen`).
import type * as t from './types';

type Json<T> = { content: { 'application/json': T } };
type Nothing = { content?: never };
type Call<Parameters, Body, Answers> = {
	parameters: Parameters;
	requestBody: [Body] extends [never] ? undefined : Json<Body>;
	responses: Answers;
};
type Get<Parameters, Answer> = { parameters: Parameters; responses: { 200: Json<Answer> } };
type None = { query?: never; path?: never; header?: never; cookie?: never };
type Id = { path: { id: string } };
type Paging = { limit?: number; cursor?: string };

export interface paths {
	'/healthz': { get: { parameters: None; responses: { 200: Nothing } } };
	'/api/v1/setup': {
		get: Get<None, t.SetupState>;
		post: Call<None, t.SetupRequest, { 200: Json<t.Me> }>;
	};
	'/api/v1/session': {
		get: Get<None, t.Me>;
		post: Call<None, t.SignIn, { 200: Json<t.Me> }>;
		delete: { parameters: None; responses: { 204: Nothing } };
	};
	'/api/v1/session/password': { put: Call<None, t.ChangePassword, { 204: Nothing }> };
	'/api/v1/server': { get: Get<None, t.ServerInfo> };
	'/api/v1/tokens': {
		get: Get<{ query?: Paging }, t.Page<t.ApiToken>>;
		post: Call<None, t.CreateApiToken, { 201: Json<t.CreatedApiToken> }>;
	};
	'/api/v1/tokens/{id}': { delete: { parameters: Id; responses: { 204: Nothing } } };
	'/api/v1/devices': {
		get: Get<{ query?: Paging & { status?: string; type?: string; q?: string } }, t.Page<t.Device>>;
		post: Call<None, t.CreateDevice, { 201: Json<t.ConnectionToken> }>;
	};
	'/api/v1/devices/{id}': {
		get: Get<Id, t.Device>;
		patch: Call<Id, t.UpdateDevice, { 200: Json<t.Device> }>;
		delete: { parameters: Id; responses: { 204: Nothing } };
	};
	'/api/v1/devices/{id}/token': { post: { parameters: Id; responses: { 200: Json<t.ConnectionToken> } } };
	'/api/v1/devices/{id}/samples': {
		get: Get<Id & { query?: { since?: number; points?: number } }, { items: t.TimedSample[] }>;
	};
	'/api/v1/devices/{id}/probe': { post: { parameters: Id; responses: { 202: Nothing } } };
	'/api/v1/devices/{id}/tasks': {
		get: Get<Id & { query?: Paging }, t.Page<t.Task>>;
		post: Call<Id, t.TaskSpec, { 201: Json<t.Task> }>;
	};
	'/api/v1/devices/{id}/tasks/stop': { post: { parameters: Id; responses: { 200: Json<t.StopAllAnswer> } } };
	'/api/v1/tasks': {
		get: Get<{ query?: Paging & { state?: string; device?: string; q?: string } }, t.Page<t.Task>>;
	};
	'/api/v1/tasks/{id}': { get: Get<Id, t.Task> };
	'/api/v1/tasks/{id}/output': {
		get: {
			parameters: Id & { query?: { offset?: number; limit?: number; download?: boolean } };
			responses: { 200: { content: { 'application/octet-stream': string } } };
		};
	};
	'/api/v1/tasks/{id}/stop': { post: { parameters: Id; responses: { 202: Json<t.Task> } } };
	'/api/v1/audit': {
		get: Get<
			{
				query?: Paging & {
					type?: string;
					device?: string;
					actor?: string;
					q?: string;
					before?: number;
					format?: string;
				};
			},
			t.Page<t.EventRecord>
		>;
	};
	'/api/v1/audit/verify': { get: Get<None, t.AuditVerification> };
}
