// The vocabulary of the dashboard. Dumb components: they take props, know no feature and fetch nothing.

export { default as Button } from './Button.svelte';
export { default as Bytes } from './Bytes.svelte';
export { default as Checkbox } from './Checkbox.svelte';
export { default as Confirm } from './Confirm.svelte';
export { default as CopyField } from './CopyField.svelte';
export { default as CopyId } from './CopyId.svelte';
export { default as Dialog } from './Dialog.svelte';
export { default as Elapsed } from './Elapsed.svelte';
export { default as Empty } from './Empty.svelte';
export { default as ErrorNote } from './ErrorNote.svelte';
export { default as Field } from './Field.svelte';
export { default as IconButton } from './IconButton.svelte';
export { default as ListRow } from './ListRow.svelte';
export { default as Menu, type MenuItem } from './Menu.svelte';
export { default as Meter } from './Meter.svelte';
export { default as Percent } from './Percent.svelte';
export { default as ProblemNote } from './ProblemNote.svelte';
export { default as Segments } from './Segments.svelte';
export { default as Select } from './Select.svelte';
export { default as Skeleton } from './Skeleton.svelte';
export { default as Sparkline } from './Sparkline.svelte';
export { default as StatusDot, type Status } from './StatusDot.svelte';
export { default as Tabs } from './Tabs.svelte';
export { default as Time } from './Time.svelte';
export { default as Toasts } from './Toasts.svelte';
export { toasts, type Toast } from './toasts.svelte';
export { oneLineFor, wordsFor } from './problem-words';
