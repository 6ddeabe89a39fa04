// How a device is reached, as the program keeps finding out.

import { Channel } from '@tauri-apps/api/core';
import type { DevicePath } from '../device';
import { problemOf } from '../problem';
import { call } from './call';
import type { DevicePath as Told } from './commands';

export function watchPath(device: string, tell: (path: DevicePath) => void): () => void {
	let stopped = false;
	const news = new Channel<Told>((path) => {
		if (stopped) return;
		tell({
			kind: path.kind ?? undefined,
			endToEnd: path.end_to_end,
			latencyMs: path.latency_ms ?? undefined,
			level: path.level ?? undefined,
			trouble: path.trouble ?? undefined
		});
	});
	const opened = call<number>('watch_path', { device, news });
	opened.catch((thrown: unknown) => {
		const { code, message } = problemOf(thrown);
		tell({ endToEnd: false, trouble: message, notBelieved: code === 'not_believed' });
	});
	return () => {
		stopped = true;
		void opened.then((number) => call('close_stream', { number })).catch(() => {});
	};
}
