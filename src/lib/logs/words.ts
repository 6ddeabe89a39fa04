// Log levels and kinds in words, and a line in its colours.

import type { LogLevel, LogLine, LogSource } from '$lib/api/types';
import { m } from '$lib/i18n';
import { OutputModel } from '$lib/tasks/output';
import type { Segment } from '$lib/tasks/open-line';

export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const satisfies readonly LogLevel[];

export function levelFrom(text: string | null): LogLevel | undefined {
	return LEVELS.find((level) => level === text);
}

export function levelWord(level: LogLevel): string {
	return {
		trace: m.logs_level_trace,
		debug: m.logs_level_debug,
		info: m.logs_level_info,
		warn: m.logs_level_warn,
		error: m.logs_level_error
	}[level]();
}

export function kindWord(kind: LogSource['kind']): string {
	return {
		journal: m.logs_kind_journal,
		task: m.logs_kind_task,
		file: m.logs_kind_file,
		container: m.logs_kind_container
	}[kind]();
}

const cache = new WeakMap<LogLine, readonly Segment[]>();

/** The text with its escape sequences turned into styles, as task output has them. */
export function segmentsOf(line: LogLine): readonly Segment[] {
	let segments = cache.get(line);
	if (!segments) {
		const model = new OutputModel();
		model.append(0, new TextEncoder().encode(line.text.replaceAll('\n', ' ')));
		model.end();
		segments = model.line(0)?.segments ?? [];
		cache.set(line, segments);
	}
	return segments;
}

export function plainText(line: LogLine): string {
	return segmentsOf(line)
		.map(({ text }) => text)
		.join('');
}
