-- How often a task was a dead letter before, and was requeued.
ALTER TABLE attempt ADD COLUMN requeues INT UNSIGNED NOT NULL DEFAULT 0;

ALTER TABLE dead ADD COLUMN requeues INT UNSIGNED NOT NULL DEFAULT 0;
