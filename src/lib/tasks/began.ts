/** After a task was asked for: its page, or word that it waits. */
import { goto } from '$app/navigation';
import type { Device } from '$lib/api/types';
import { m } from '$lib/i18n';
import type { Live } from '$lib/live';
import { toasts } from '$lib/ui';
import type { Started } from './actions';

/** Goes to the task; `search` is kept in the address. */
export async function began(live: Live, device: Device, started: Started, search = ''): Promise<void> {
	if (!started) {
		const action = { label: m.waiting_show(), run: () => void goto('/waiting') };
		toasts.show({ text: m.task_waits({ device: device.name }), action });
		return;
	}
	live.putTask(started.task);
	if (started.at) toasts.show({ text: m.task_began_there({ device: device.name }) });
	await goto(`/tasks/${started.task.id}${search}`);
}
