-- The type of a task that ended.
ALTER TABLE dedup ADD COLUMN type VARBINARY(256) NOT NULL DEFAULT '';
