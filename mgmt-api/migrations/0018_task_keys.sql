-- A task that asks models has a key of its own; `models` is what it was asked for with, as JSON.
ALTER TABLE tasks ADD COLUMN models TEXT;
ALTER TABLE model_keys ADD COLUMN task_id TEXT;
CREATE INDEX model_keys_by_task ON model_keys (task_id) WHERE task_id IS NOT NULL;
