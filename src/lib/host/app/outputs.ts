// What was last seen of the output of tasks that were looked at.

import { call } from './call';
import type { KeptOutput } from './commands';

export const keptOutput = (task: string) => call<KeptOutput | null>('kept_output', { task });
