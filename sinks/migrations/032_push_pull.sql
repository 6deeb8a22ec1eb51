-- Records by the ways on which they came, where a vendor pushes and is pulled: the ledger has the sources of all arrivals of a record.
-- The way of a record that came before there was a ledger is that of the content that its row shows.
CREATE OR REPLACE VIEW {{database}}.v_ledger_ways {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT record_hash, source FROM {{database}}.ledger WHERE record_hash != 0
COMMENT 'Arrivals of the records of vendors that push and are pulled, with their sources; v_push_pull reads it';

CREATE OR REPLACE VIEW {{database}}.v_push_pull {{on_cluster}}
SQL SECURITY DEFINER AS
WITH
ways AS
(
    SELECT record_hash, max(source = 'push') AS pushed, max(source != 'push') AS pulled
    FROM {{database}}.v_ledger_ways
    GROUP BY record_hash
),
records AS
(
    SELECT
        c.vendor AS vendor,
        c.account AS account,
        c.slot_at AS hour,
        if(c.cost IS NULL, '', toString(c.currency)) AS currency,
        c.talk_ms AS talk_ms,
        c.billable_s AS billable_s,
        c.cost AS cost,
        has(c.quality_flags, 'conflict_final') AND NOT has(c.quality_flags, 'conflict_resolved') AS disputed,
        c.source = 'push' OR coalesce(w.pushed, 0) = 1 AS is_pushed,
        c.source != 'push' OR coalesce(w.pulled, 0) = 1 AS is_pulled
    FROM {{database}}.cdr AS c
    LEFT JOIN ways AS w ON reinterpretAsUInt64(reverse(substring(UUIDStringToNum(toString(c.record_id)), 1, 8))) = w.record_hash
)
SELECT
    r.vendor AS vendor,
    r.account AS account,
    r.hour AS hour,
    r.currency AS currency,
    multiIf(is_pushed AND is_pulled, 'both', is_pushed, 'only pushed', 'only pulled') AS way,
    count() AS records,
    countIf(r.disputed) AS in_conflict,
    sum(r.talk_ms) AS talk_total_ms,
    sum(r.billable_s) AS billed_s,
    sum(r.cost) AS cost_total
FROM records AS r
GROUP BY vendor, account, hour, currency, way
COMMENT 'Records that were only pushed, only pulled or both, per vendor, account and hour of the call (UTC), with duration and cost';

ALTER TABLE {{database}}.v_push_pull {{on_cluster}}
    COMMENT COLUMN account 'configured account whose address or poller let the record in; empty for none',
    COMMENT COLUMN hour 'hour of the call (UTC), as slot_at of v_cdr',
    COMMENT COLUMN currency 'of the costs; empty: records without a cost',
    COMMENT COLUMN way 'only pushed, only pulled or both; a backfill is a pull',
    COMMENT COLUMN in_conflict 'records whose contents contradict each other (v_conflicts), by whichever way they came',
    COMMENT COLUMN talk_total_ms 'sum of the talk that is known, of the contents that v_cdr shows',
    COMMENT COLUMN billed_s 'sum of billable_s; NULL: not known of any',
    COMMENT COLUMN cost_total 'sum of cost; NULL: the vendor sent none';
