-- Figures of calls, computed anew by the sink for the slots of which rows were written, so that a query of figures reads no call.
-- A row has the figures of the calls of one slot that started in one interval; `slot_at` never changes for a call, so a slot that is
-- computed anew replaces all that was computed from it before. A group that lost its last call stays as a row with `calls` = 0.
CREATE TABLE IF NOT EXISTS {{database}}.kpi_calls {{on_cluster}}
(
    grain LowCardinality(String) COMMENT '5m, hour or day: the interval that starts at start_at',
    start_at DateTime('UTC') CODEC(Delta, ZSTD(1)) COMMENT 'start of the interval (UTC) in which the calls started',
    slot_at DateTime('UTC') CODEC(Delta, ZSTD(1)) COMMENT 'slot of the calls; of the rows of days, its day',
    vendor LowCardinality(String),
    account String,
    account_id String,
    direction LowCardinality(String),
    calls UInt64 COMMENT 'calls of any state; 0: the group has none any more',
    attempts UInt64,
    answered UInt64,
    network_effective UInt64,
    provisional UInt64,
    in_conflict UInt64,
    talk_total_ms UInt64,
    answered_without_talk UInt64,
    answered_with_talk UInt64,
    talk_in_conflict_ms UInt64,
    short_calls UInt64,
    pdd_ms Array(UInt32) COMMENT 'known values of all attempts, sorted: percentiles of groups do not add up',
    ring_ms Array(UInt32) COMMENT 'known values of all attempts, sorted',
    billed_s Nullable(UInt64),
    billable_in_conflict_s Nullable(UInt64),
    billable_provisional_s Nullable(UInt64),
    currencies Array(String) COMMENT 'of the costs, sorted',
    cost Nullable(Decimal(38, 6)),
    cost_in_conflict Nullable(Decimal(38, 6)),
    cost_provisional Nullable(Decimal(38, 6)),
    computed_at DateTime64(3, 'UTC') DEFAULT now64(3),
    version UInt64 COMMENT 'one more each time that a figure of the row changes',
    INDEX ix_slot_at slot_at TYPE minmax GRANULARITY 1
)
ENGINE = {{replacing}}
PARTITION BY toYYYYMM(start_at)
ORDER BY (grain, start_at, slot_at, vendor, account, account_id, direction)
SETTINGS index_granularity = 1024, default_compression_codec = 'ZSTD(1)',
    min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'Figures of calls by slot: read v_kpi_5m, v_kpi_hour or v_kpi_day instead';

CREATE TABLE IF NOT EXISTS {{database}}.kpi_marks {{on_cluster}}
(
    slot_at DateTime('UTC') COMMENT 'slot of which rows were written',
    marker UInt64 COMMENT 'the process that wrote them',
    marked_at DateTime64(3, 'UTC') DEFAULT now64(3),
    version UInt64 COMMENT 'even: figures of the slot are to be computed; odd: they were, for all before'
)
ENGINE = {{replacing}}
ORDER BY (slot_at, marker)
TTL toDateTime(marked_at) + toIntervalDay(2) DELETE WHERE version % 2 = 1
COMMENT 'Slots of which figures are to be computed anew; the sink reads and writes it';

-- each: 5m=1 hour=2 day=3
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}} {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    k.start_at AS slot_at,
    k.vendor AS vendor,
    k.account AS account,
    k.account_id AS account_id,
    k.direction AS direction,
    sum(k.attempts) AS attempts,
    sum(k.answered) AS answered,
    sum(k.network_effective) AS network_effective,
    sum(k.provisional) AS provisional,
    sum(k.in_conflict) AS in_conflict,
    if(attempts = 0, NULL, answered / attempts) AS asr,
    if(attempts = 0, NULL, network_effective / attempts) AS ner,
    sum(k.talk_total_ms) AS talk_total_ms,
    sum(k.answered_without_talk) AS answered_without_talk,
    sum(k.answered_with_talk) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    sum(k.talk_in_conflict_ms) AS talk_in_conflict_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.5)(k.pdd_ms)) AS pdd_p50_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.95)(k.pdd_ms)) AS pdd_p95_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.5)(k.ring_ms)) AS ring_p50_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.95)(k.ring_ms)) AS ring_p95_ms,
    sum(k.short_calls) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    sum(k.billed_s) AS billed_s,
    sum(k.billable_in_conflict_s) AS billable_in_conflict_s,
    sum(k.billable_provisional_s) AS billable_provisional_s,
    toBool(length(groupUniqArrayArray(k.currencies)) > 1) AS is_mixed,
    if(is_mixed, 'mixed', groupUniqArrayArray(k.currencies)[1]) AS currency,
    if(is_mixed, NULL, sum(k.cost)) AS cost,
    if(is_mixed, NULL, sum(k.cost_in_conflict)) AS cost_in_conflict,
    if(is_mixed, NULL, sum(k.cost_provisional)) AS cost_provisional,
    if(talk_total_ms = 0 OR is_mixed, NULL, toFloat64(sum(k.cost)) * 60000 / talk_total_ms) AS cost_per_minute
FROM {{database}}.kpi_calls AS k FINAL
WHERE k.grain = '{{each}}' AND k.calls > 0
GROUP BY k.start_at, k.vendor, k.account, k.account_id, k.direction
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per slot of start (UTC), vendor, account and direction; the formula stands at each column. Computed by the sink within seconds after a call is written. Conferences: v_conferences; charges of every kind: v_charges_day';

ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN slot_at 'start of the slot (UTC); a call counts in the slot of its started_at, the earliest instant of any of its legs';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN account 'the configured account whose address let the calls in; empty for none';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN attempts 'calls of which all is known (is_final); provisional ones are not among them';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN answered 'attempts with disposition answered';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN network_effective 'attempts that the network served (ITU-T E.425): answered, busy, no_answer, rejected, and cancelled by the caller after ringing. It rang when alerting_at is set or ring_ms > 0: a vendor that reports no alerting counts ring_ms from the start';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN provisional 'calls of which more may still come (not is_final): in no ratio, percentile or sum of this row but their own columns';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN in_conflict 'calls flagged conflict_final and not yet resolved (v_conflicts): counted as they are shown, their amounts only in *_in_conflict';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN asr 'answer-seizure ratio (ITU-T E.411) = answered / attempts, 0..1; NULL without attempts';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN ner 'network effectiveness ratio (ITU-T E.425) = network_effective / attempts, 0..1; NULL without attempts';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN talk_total_ms 'sum of talk_ms over answered attempts that are not in conflict';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN answered_without_talk 'answered attempts not in conflict whose talk is not known: left out of acd_s and short_call_ratio';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN answered_with_talk 'answered attempts not in conflict whose talk is known';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN acd_s 'average call duration in s = talk_total_ms / 1000 / answered_with_talk; NULL without any';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN talk_in_conflict_ms 'sum of talk_ms over answered calls in conflict, as their shown contents say';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN pdd_p50_ms 'median post-dial delay (alerting - setup) of attempts where it is known: the value at position floor(0.5 n) of n sorted ones, counted from 0; one that occurred, never interpolated';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN pdd_p95_ms '95th percentile of the post-dial delay: the value at position floor(0.95 n) of n sorted ones, counted from 0';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN ring_p50_ms 'median ringing time ((answer or end) - alerting) of attempts where it is known: position floor(0.5 n), as pdd_p50_ms';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN ring_p95_ms '95th percentile of the ringing time: position floor(0.95 n), as pdd_p95_ms';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN short_calls 'answered attempts not in conflict with less than 6 s of talk';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN short_call_ratio 'short_calls / answered_with_talk, 0..1; NULL without any';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN billed_s 'sum of billable_s over attempts that are not in conflict; NULL: not known of any';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN billable_in_conflict_s 'sum of billable_s over calls in conflict, as their shown contents say; NULL: none';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN billable_provisional_s 'sum of billable_s over provisional calls; NULL: none';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN is_mixed 'the costs of this row are in more than one currency: then there is no total';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN currency 'of the costs; mixed: more than one, then there is no total';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN cost 'sum of cost over attempts that are not in conflict; NULL: no vendor sent one, or currencies are mixed';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN cost_in_conflict 'sum of cost over calls in conflict, as their shown contents say; NULL: none, or currencies are mixed';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN cost_provisional 'sum of cost over provisional calls; NULL: none, or currencies are mixed';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN cost_per_minute 'cost / minutes of talk_total_ms';
