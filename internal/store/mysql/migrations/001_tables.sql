-- The head of each partition: who owns it, and how far it is.
CREATE TABLE IF NOT EXISTS fence (
  part SMALLINT UNSIGNED NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  hlc BIGINT UNSIGNED NOT NULL,
  chain BINARY(32) NOT NULL,
  gc_hlc BIGINT UNSIGNED NOT NULL,
  status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  claim VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  committed_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (hlc DIV 4096) MICROSECOND) VIRTUAL,
  PRIMARY KEY (part)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The claims of each partition, the latest thousand: how far it was when an owner took it over.
CREATE TABLE IF NOT EXISTS claim (
  part SMALLINT UNSIGNED NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  hlc BIGINT UNSIGNED NOT NULL,
  claimed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (part, epoch)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The records: the newest value of each.
CREATE TABLE IF NOT EXISTS record (
  part SMALLINT UNSIGNED NOT NULL,
  entity_key VARBINARY(512) NOT NULL,
  name VARBINARY(128) NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  value MEDIUMBLOB,
  updated_hlc BIGINT UNSIGNED NOT NULL,
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
  tx CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
  escrow BOOLEAN NOT NULL,
  updated_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (updated_hlc DIV 4096) MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, entity_key, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The marks of tasks that left the broker's log: how they ended, or where they wait.
CREATE TABLE IF NOT EXISTS dedup (
  part SMALLINT UNSIGNED NOT NULL,
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  queue VARBINARY(128) NOT NULL,
  entity_key VARBINARY(512) NOT NULL,
  fingerprint BIGINT UNSIGNED NOT NULL,
  ref BIGINT UNSIGNED NOT NULL,
  due_us BIGINT,
  created_hlc BIGINT UNSIGNED NOT NULL,
  finished_hlc BIGINT UNSIGNED NOT NULL,
  attempts INT UNSIGNED NOT NULL,
  deliveries INT UNSIGNED NOT NULL,
  worker VARBINARY(512) NOT NULL,
  result MEDIUMBLOB,
  error BLOB NOT NULL,
  expires_us BIGINT,
  due_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL due_us MICROSECOND) VIRTUAL,
  created_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (created_hlc DIV 4096) MICROSECOND) VIRTUAL,
  finished_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (finished_hlc DIV 4096) MICROSECOND) VIRTUAL,
  expires_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL expires_us MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, task_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The op log: every change of a record, in order.
CREATE TABLE IF NOT EXISTS oplog (
  part SMALLINT UNSIGNED NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  hlc BIGINT UNSIGNED NOT NULL,
  op VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  entity_key VARBINARY(512) NOT NULL,
  name VARBINARY(128) NOT NULL,
  version_before BIGINT UNSIGNED NOT NULL,
  version_after BIGINT UNSIGNED NOT NULL,
  value MEDIUMBLOB,
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
  attempt INT UNSIGNED NOT NULL,
  node VARBINARY(512) NOT NULL,
  worker VARBINARY(512) NOT NULL,
  tx CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
  hash BINARY(32) NOT NULL,
  logged_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (hlc DIV 4096) MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, seq)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Follow-up tasks that the broker does not have for sure yet.
CREATE TABLE IF NOT EXISTS outbox (
  part SMALLINT UNSIGNED NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  body MEDIUMBLOB,
  PRIMARY KEY (part, seq)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Tasks that wait for their time.
CREATE TABLE IF NOT EXISTS schedule (
  part SMALLINT UNSIGNED NOT NULL,
  due_us BIGINT NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  body MEDIUMBLOB,
  due_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL due_us MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, due_us, seq)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Tasks set aside behind others of their lane.
CREATE TABLE IF NOT EXISTS parked (
  part SMALLINT UNSIGNED NOT NULL,
  queue VARBINARY(128) NOT NULL,
  entity_key VARBINARY(512) NOT NULL,
  class VARBINARY(2048) NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  body MEDIUMBLOB,
  PRIMARY KEY (part, queue, entity_key, class, seq)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- What happened to tasks that were tried and are not finished.
CREATE TABLE IF NOT EXISTS attempt (
  part SMALLINT UNSIGNED NOT NULL,
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  attempts INT UNSIGNED NOT NULL,
  deliveries INT UNSIGNED NOT NULL,
  next_us BIGINT,
  tries MEDIUMBLOB,
  next_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL next_us MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, task_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Dead letters with their history.
CREATE TABLE IF NOT EXISTS dead (
  part SMALLINT UNSIGNED NOT NULL,
  queue VARBINARY(128) NOT NULL,
  seq BIGINT UNSIGNED NOT NULL,
  reason BLOB NOT NULL,
  died_hlc BIGINT UNSIGNED NOT NULL,
  attempts INT UNSIGNED NOT NULL,
  deliveries INT UNSIGNED NOT NULL,
  tries MEDIUMBLOB,
  body MEDIUMBLOB,
  died_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (died_hlc DIV 4096) MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, queue, seq)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The parts of transactions across partitions in their participants.
CREATE TABLE IF NOT EXISTS branch (
  part SMALLINT UNSIGNED NOT NULL,
  tx CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  home SMALLINT UNSIGNED NOT NULL,
  began_hlc BIGINT UNSIGNED NOT NULL,
  changed_hlc BIGINT UNSIGNED NOT NULL,
  deadline_us BIGINT,
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
  attempt INT UNSIGNED NOT NULL,
  worker VARBINARY(512) NOT NULL,
  began_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (began_hlc DIV 4096) MICROSECOND) VIRTUAL,
  changed_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (changed_hlc DIV 4096) MICROSECOND) VIRTUAL,
  deadline_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL deadline_us MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, tx)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- What prepared branches will do to records.
CREATE TABLE IF NOT EXISTS intent (
  part SMALLINT UNSIGNED NOT NULL,
  tx CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  entity_key VARBINARY(512) NOT NULL,
  name VARBINARY(128) NOT NULL,
  op VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  expected BIGINT UNSIGNED NOT NULL,
  value MEDIUMBLOB,
  delta BIGINT NOT NULL,
  PRIMARY KEY (part, tx, entity_key, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The decisions of transactions across partitions, at their homes.
CREATE TABLE IF NOT EXISTS txn (
  part SMALLINT UNSIGNED NOT NULL,
  tx CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  began_hlc BIGINT UNSIGNED NOT NULL,
  decided_hlc BIGINT UNSIGNED NOT NULL,
  task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
  parts MEDIUMBLOB,
  began_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (began_hlc DIV 4096) MICROSECOND) VIRTUAL,
  decided_at DATETIME(6) AS (TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (decided_hlc DIV 4096) MICROSECOND) VIRTUAL,
  PRIMARY KEY (part, tx)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Small named values of the whole cluster; used on shard 0 only, as the tables below.
CREATE TABLE IF NOT EXISTS meta (
  name VARBINARY(1024) NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  value MEDIUMBLOB NOT NULL,
  PRIMARY KEY (name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The latest thousand changes of named values.
CREATE TABLE IF NOT EXISTS meta_log (
  version BIGINT UNSIGNED NOT NULL,
  name VARBINARY(1024) NOT NULL,
  writer VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  changed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (version)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS meta_version (
  id TINYINT UNSIGNED NOT NULL,
  last BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB;

INSERT INTO meta_version (id, last) VALUES (1, 0) ON DUPLICATE KEY UPDATE last = last;

-- Which shard holds which partition.
CREATE TABLE IF NOT EXISTS shard_map (
  part SMALLINT UNSIGNED NOT NULL,
  shard SMALLINT UNSIGNED NOT NULL,
  PRIMARY KEY (part)
) ENGINE = InnoDB;

-- Which shard of which cluster this database is, and with how many shards the cluster was made.
CREATE TABLE IF NOT EXISTS shard (
  id TINYINT UNSIGNED NOT NULL,
  cluster CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  number SMALLINT UNSIGNED NOT NULL,
  shards SMALLINT UNSIGNED NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB;
