-- How long the attempt took that ended a task as done.
ALTER TABLE dedup ADD COLUMN took_us BIGINT NOT NULL DEFAULT 0;
