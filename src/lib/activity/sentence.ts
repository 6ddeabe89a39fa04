/** An event as one sentence in the reader's language, and what it is about. Knows the words, not the page. */
import { commandLine, type Actor, type EventRecord, type Role, type Task } from '$lib/api/types';
import { m } from '$lib/i18n';
import { plainDuration } from '$lib/format';
import { isAboutModels, modelLink, modelSentence, modelTopic } from './model-sentence';

/** What kind of thing happened: chooses the icon, never the colour of the sentence. */
export type Topic = 'device' | 'task' | 'warning' | 'person' | 'token' | 'vault' | 'model' | 'chat' | 'push';

export type DeviceNames = (id: string) => string | undefined;

export function actorName(actor: Actor): string {
	switch (actor.kind) {
		case 'user':
		case 'device':
			return actor.name;
		case 'link':
			return m.activity_actor_link({ name: actor.name });
		case 'token':
			return m.activity_actor_token({ name: actor.name });
		case 'host':
			return m.activity_actor_host();
		case 'system':
			return m.activity_actor_system();
		case 'anonymous':
			return m.activity_actor_anonymous();
	}
}

export function roleName(role: Role): string {
	return {
		viewer: m.settings_role_viewer,
		operator: m.settings_role_operator,
		admin: m.settings_role_admin,
		owner: m.settings_role_owner
	}[role]();
}

export function topicOf(record: EventRecord): Topic {
	if (isAboutModels(record)) return modelTopic(record);
	if (record.type.startsWith('device.task.')) return 'task';
	if (
		record.type.startsWith('device.gpu_memory.') ||
		record.type === 'device.offline' ||
		record.type === 'device.link.refused'
	)
		return 'warning';
	if (record.type.startsWith('device.')) return 'device';
	if (record.type.startsWith('api_token.')) return 'token';
	if (record.type.startsWith('push.')) return 'push';
	return 'person';
}

/** Where the thing it is about can be seen; nothing for what is gone. */
export function linkOf(record: EventRecord): string | undefined {
	if (isAboutModels(record)) return modelLink(record);
	const data: object = record.data;
	if ('task' in data) return `/tasks/${(data.task as Task).id}`;
	if ('device' in data) return `/devices/${(data.device as { id: string }).id}`;
	return undefined;
}

export function sentenceOf(record: EventRecord, names: DeviceNames): string {
	const actor = actorName(record.actor);
	if (isAboutModels(record)) return modelSentence(record, actor);
	switch (record.type) {
		case 'device.created':
			return m.activity_device_created({ actor, device: record.data.device.name });
		case 'device.token.created':
			return m.activity_device_token({ actor, device: record.data.device.name });
		case 'device.connected':
			return m.activity_device_connected({ device: record.data.device.name });
		case 'device.disconnected':
			return m.activity_device_disconnected({ device: record.data.device.name });
		case 'device.online':
			return m.activity_device_online({ device: record.data.device.name });
		case 'device.offline':
			return m.activity_device_offline({ device: record.data.device.name });
		case 'device.updated':
			return record.actor.kind === 'device'
				? m.activity_device_facts({ device: record.data.device.name })
				: m.activity_device_updated({ actor, device: record.data.device.name });
		case 'device.probe_requested':
			return m.activity_device_probe({ actor, device: record.data.device.name });
		case 'device.gpu_memory.high':
			return m.activity_gpu_high({
				device: record.data.device.name,
				percent: Math.round(record.data.percent)
			});
		case 'device.gpu_memory.normal':
			return m.activity_gpu_normal({
				device: record.data.device.name,
				percent: Math.round(record.data.percent)
			});
		case 'device.link.refused':
			return m.activity_link_refused({
				device: record.data.device.name,
				from: record.data.from,
				reason: refusalWord(record.data.reason),
				count: record.data.count
			});
		case 'device.grant.added':
			return m.activity_grant_added({
				actor,
				device: record.data.device.name,
				name: record.data.grant.name,
				level: record.data.grant.level
			});
		case 'device.grant.revocation_asked':
			return m.activity_grant_revocation_asked({ actor, device: record.data.device.name });
		case 'device.grant.revoked':
			return m.activity_grant_revoked({ device: record.data.device.name });
		case 'device.terminal.opened':
			return m.activity_terminal_opened({ by: record.data.by, device: record.data.device.name });
		case 'device.terminal.ended':
			return m.activity_terminal_ended({ by: record.data.by, device: record.data.device.name });
		case 'device.file.changed':
			return fileSentence(record.data.action, {
				by: record.data.by,
				path: record.data.path,
				device: record.data.device.name
			});
		case 'device.tunnel.changed':
			return m.activity_tunnel_changed({
				device: record.data.device.name,
				action: record.data.action
			});
		case 'device.deleted':
			return m.activity_device_deleted({ actor, device: record.data.name });
		case 'user.created':
			return m.activity_user_created({ name: record.data.name, role: roleName(record.data.role) });
		case 'user.password_changed':
			return m.activity_password_changed({ name: record.data.name });
		case 'session.created':
			return m.activity_signed_in({ name: record.data.name });
		case 'session.ended':
			return m.activity_signed_out({ name: record.data.name });
		case 'sign_in.failed':
			return failedSignIn(record.data);
		case 'api_token.created':
			return m.activity_token_created({
				actor,
				name: record.data.name,
				role: roleName(record.data.role)
			});
		case 'api_token.revoked':
			return m.activity_token_revoked({ actor, name: record.data.name });
		case 'push.receiver_added':
			return m.activity_push_added({ actor, name: record.data.name });
		case 'push.receiver_updated':
			return m.activity_push_updated({ actor, name: record.data.name });
		case 'push.receiver_removed':
			return removedSentence(record.data.because, record.data.name, actor);
		default:
			return 'task' in record.data
				? taskSentence(record.type, record.data.task, actor, names)
				: m.activity_unknown({ actor, type: (record as EventRecord).type });
	}
}

function failedSignIn({
	name,
	means,
	wait_s
}: Extract<EventRecord, { type: 'sign_in.failed' }>['data']): string {
	const failed =
		means && means !== 'password'
			? {
					link: m.activity_sign_in_failed_link,
					setup_code: m.activity_sign_in_failed_setup,
					code: m.activity_sign_in_failed_code,
					token: m.activity_sign_in_failed_token,
					connection_token: m.activity_sign_in_failed_device
				}[means]()
			: m.activity_sign_in_failed({ name });
	return wait_s == null ? failed : m.activity_sign_in_waits({ failed, time: plainDuration(wait_s * 1_000) });
}

function removedSentence(because: string, name: string, actor: string): string {
	if (because === 'gone') return m.activity_push_gone({ name });
	if (because === 'signed_out') return m.activity_push_signed_out({ name });
	return m.activity_push_removed({ actor, name });
}

function refusalWord(reason: string): string {
	switch (reason) {
		case 'forged':
			return m.activity_refused_forged();
		case 'expired':
			return m.activity_refused_expired();
		case 'revoked':
			return m.activity_refused_revoked();
		case 'too_many':
			return m.activity_refused_too_many();
		default:
			return m.activity_refused_handshake();
	}
}

function fileSentence(action: string, what: { by: string; path: string; device: string }): string {
	switch (action) {
		case 'rename':
			return m.activity_file_renamed(what);
		case 'trash':
			return m.activity_file_trashed(what);
		case 'restore':
			return m.activity_file_restored(what);
		case 'mkdir':
			return m.activity_file_made(what);
		default:
			return m.activity_file_written(what);
	}
}

/** A sentence with a page of shell in it is none: the whole command is on the task's page. */
const LONGEST_COMMAND = 72;

function shortened(command: string): string {
	const characters = [...command];
	return characters.length <= LONGEST_COMMAND
		? command
		: `${characters.slice(0, LONGEST_COMMAND).join('').trimEnd()} …`;
}

function taskSentence(type: string, task: Task, actor: string, names: DeviceNames): string {
	const what = {
		actor,
		command: shortened(commandLine(task.command)),
		device: names(task.device_id) ?? m.activity_some_device()
	};
	switch (type) {
		case 'device.task.queued':
			return m.activity_task_queued(what);
		case 'device.task.started':
			return m.activity_task_started(what);
		case 'device.task.stop_requested':
			return m.activity_task_stop_requested(what);
		case 'device.task.completed':
			return m.activity_task_completed(what);
		case 'device.task.failed':
			if (task.exit_code != null) return m.activity_task_failed_code({ ...what, code: task.exit_code });
			if (task.signal != null) return m.activity_task_failed_signal({ ...what, signal: task.signal });
			return m.activity_task_failed(what);
		case 'device.task.stopped':
			return m.activity_task_stopped(what);
		case 'device.task.lost':
			return m.activity_task_lost(what);
		case 'device.task.refused':
			return m.activity_task_refused(what);
		default:
			return m.activity_unknown({ actor, type });
	}
}
