-- What `callweave reconcile` found: its runs, and of each the class of every record of the file and of ours in its period.
-- No phone number stands here, neither clear nor as token or masked form: a difference in one is kept as such, `line` names the row of
-- the file and `record_id` the record of ours. So nothing of these tables has to expire or to be erased with a number.
-- The id of a run follows from the file and its settings. A run writes its records under its version, which is a part of their identity,
-- and the run itself last: the view of records shows those of the last finished run of each id, also while it runs once more.
CREATE TABLE IF NOT EXISTS {{database}}.reconciliations {{on_cluster}}
(
    run_id UUID COMMENT 'UUIDv5 of the file''s SHA-256 and of the settings: the same file again is the same run',
    ran_at DateTime64(3, 'UTC'),
    vendor LowCardinality(String),
    account String COMMENT 'our name of the account, or the vendor''s id of it',
    file_name String,
    file_sha256 String,
    matched_by LowCardinality(String) COMMENT 'id or numbers_and_start',
    period_from Nullable(DateTime64(3, 'UTC')) COMMENT 'only_ours are records of this time',
    period_until Nullable(DateTime64(3, 'UTC')),
    compared Array(LowCardinality(String)) COMMENT 'fields of which both sides know something',
    tolerance_s Decimal(18, 6),
    tolerance_cost Decimal(18, 6),
    settings String COMMENT 'all settings of the run, as JSON',
    equal UInt64 COMMENT 'records that both sides have with the same values',
    within_tolerance UInt64 COMMENT 'records in which nothing differs by more than the tolerance',
    differs UInt64 COMMENT 'records that both sides have with different values',
    only_theirs UInt64 COMMENT 'records that only the file has',
    only_ours UInt64 COMMENT 'records of the period that only we have',
    doubled_theirs UInt64 COMMENT 'rows of the file with a record that it has already',
    unreadable UInt64 COMMENT 'rows of the file that cannot be read',
    left_out UInt64 COMMENT 'rows of the file that are no records of the period',
    their_records UInt64,
    our_records UInt64,
    their_billed_s UInt64,
    our_billed_s UInt64,
    `costs.currency` Array(LowCardinality(String)),
    `costs.theirs` Array(Decimal(38, 6)),
    `costs.ours` Array(Decimal(38, 6)),
    version UInt64 COMMENT 'milliseconds since 1970 of the run',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{replacing}}
ORDER BY run_id
COMMENT 'Runs of callweave reconcile: read v_reconciliations instead';

CREATE TABLE IF NOT EXISTS {{database}}.reconciled_records {{on_cluster}}
(
    run_id UUID,
    line UInt64 COMMENT 'row of the file; 0: only we have the record',
    record_id UUID COMMENT 'of our record; zeros: only the file has it',
    class LowCardinality(String) COMMENT 'equal, within_tolerance, differs, only_theirs, only_ours, doubled_theirs or unreadable',
    vendor LowCardinality(String),
    account String,
    account_id String,
    kind LowCardinality(String),
    vendor_call_id String,
    started_at Nullable(DateTime64(6, 'UTC')) COMMENT 'the first instant of the call, by the file if it has the record',
    their_billed_s Nullable(UInt32),
    our_billed_s Nullable(UInt32),
    their_cost Nullable(Decimal(18, 6)),
    our_cost Nullable(Decimal(18, 6)),
    their_currency LowCardinality(String),
    our_currency LowCardinality(String),
    `differences.field` Array(LowCardinality(String)) COMMENT 'fields in which both sides differ',
    `differences.theirs` Array(String) COMMENT 'the file''s value; empty for none, and for phone numbers',
    `differences.ours` Array(String) COMMENT 'our value; empty for none, and for phone numbers',
    note String COMMENT 'why a row cannot be read',
    version UInt64 COMMENT 'of the run',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX ix_vendor_call_id vendor_call_id TYPE bloom_filter(0.001) GRANULARITY 4
)
ENGINE = {{replacing}}
ORDER BY (run_id, version, line, record_id)
SETTINGS index_granularity = 2048
COMMENT 'Records of runs of callweave reconcile: read v_reconciled_records instead';

CREATE OR REPLACE VIEW {{database}}.v_reconciliations {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT *, toInt64(their_records) - toInt64(our_records) AS records_apart, toInt64(their_billed_s) - toInt64(our_billed_s) AS billed_apart_s
FROM {{database}}.reconciliations FINAL
COMMENT 'Runs of callweave reconcile, the newest of each file and settings';

CREATE OR REPLACE VIEW {{database}}.v_reconciled_records {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT *
FROM {{database}}.reconciled_records FINAL
WHERE (run_id, version) IN (SELECT run_id, version FROM {{database}}.reconciliations FINAL)
COMMENT 'The class of each record of the carriers'' files and of ours, by the last run of each file and settings; no phone numbers';
