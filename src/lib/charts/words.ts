/** Names and numbers of charts as people read them. */
import type { Capabilities } from '$lib/api/types';
import { bytes, percent } from '$lib/format';
import { language, m } from '$lib/i18n';
import type { Chart, ChartId, Summary, Unit } from './series';

export function chartTitle(id: ChartId): string {
	return {
		cpu: m.device_page_cpu,
		memory: m.device_page_memory,
		disk: m.device_page_disk,
		network: m.device_page_network,
		gpu: m.device_page_gpu,
		gpu_memory: m.device_page_gpu_memory,
		temperature: m.device_page_temperature
	}[id]();
}

export function lineName(chart: Chart, name: string, capabilities?: Capabilities | null): string {
	if (chart.id === 'network') return name === 'rx' ? m.device_page_net_in() : m.device_page_net_out();
	if (chart.id === 'gpu' || chart.id === 'gpu_memory') {
		const gpu = capabilities?.gpus[Number(name)]?.name ?? m.device_page_gpu();
		return chart.lines.length > 1 ? `${name} ${gpu}` : gpu;
	}
	return chart.id === 'temperature' ? name : chartTitle(chart.id);
}

export function valueWord(value: number | null | undefined, unit: Unit): string {
	if (value == null || !Number.isFinite(value)) return '–';
	switch (unit) {
		case 'percent':
			return percent(value);
		case 'bytes':
			return bytes(value);
		case 'rate':
			return bytes(value, { rate: true });
		case 'celsius':
			return `${new Intl.NumberFormat(language.formats, { maximumFractionDigits: 0 }).format(value)}\u00a0°C`;
	}
}

/** What the picture says, for those who do not see it. */
export function summaryWords(title: string, range: string, unit: Unit, lines: readonly Summary[]): string {
	const words = lines.map((line) =>
		m.device_page_chart_line_summary({
			name: line.name,
			latest: valueWord(line.latest, unit),
			lowest: valueWord(line.lowest, unit),
			highest: valueWord(line.highest, unit)
		})
	);
	return m.device_page_chart_summary({ title, range, lines: words.join('; ') });
}
