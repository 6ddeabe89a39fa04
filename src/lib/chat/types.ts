// The wire types of conversations by the names used here.

import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];

export type Chat = Schemas['Chat'];
export type Message = Schemas['Message'];
export type MessagePiece = Schemas['MessagePiece'];
export type ChatAttachment = Schemas['Attachment'];
export type Route = Schemas['Route'];
export type RouteReason = Schemas['RouteReason'];
export type RouteMiss = Schemas['RouteMiss'];
export type Model = Schemas['Model'];
export type Routing = Schemas['Routing'];
