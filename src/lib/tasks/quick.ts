// What can be done to a task from a list: one description for the menu and the swipe tray.

import Copy from '@lucide/svelte/icons/copy';
import RotateCcw from '@lucide/svelte/icons/rotate-ccw';
import Square from '@lucide/svelte/icons/square';
import { commandLine, isFinal, type Me, type Task } from '$lib/api/types';
import { m } from '$lib/i18n';
import { may } from '$lib/session';
import type { MenuItem } from '$lib/ui';
import { isStopping } from './task-words';

export interface TaskHooks {
	/** It is asked first: what a task has done so far is lost with it. */
	stop: (task: Task) => void;
	again: (task: Task) => void;
	copy: (text: string) => void;
	/** The device is there still. */
	known: (device: string) => boolean;
}

export function taskActions(task: Task, me: Me | undefined, hooks: TaskHooks): MenuItem[] {
	const operator = may(me, 'operator');
	const copy: MenuItem = {
		label: m.task_copy_command(),
		icon: Copy,
		onselect: () => hooks.copy(commandLine(task.command))
	};
	if (isFinal(task.state)) {
		const why = operator
			? hooks.known(task.device_id)
				? undefined
				: m.activity_some_device()
			: m.device_needs_operator();
		const again: MenuItem = {
			label: m.task_run_again(),
			icon: RotateCcw,
			unavailable: why,
			onselect: () => hooks.again(task)
		};
		return [copy, again];
	}
	const stop: MenuItem = {
		label: m.task_stop(),
		icon: Square,
		danger: true,
		unavailable: !operator ? m.device_needs_operator() : isStopping(task) ? m.task_stopping() : undefined,
		onselect: () => hooks.stop(task)
	};
	return [copy, stop];
}
