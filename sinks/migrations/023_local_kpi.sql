-- More figures of calls, and the intervals of each account's own time zone. `kpi_calls` has further columns, which older rows fill as well
-- as they can until the sink computed them anew: it does so for rows of another `revision`, or of another zone than the settings say.
-- An interval of local time that is also one of UTC is the same row (`is_local`); others are rows of the grains local_hour and local_day.
ALTER TABLE {{database}}.kpi_calls {{on_cluster}}
    MODIFY COLUMN grain LowCardinality(String) COMMENT '5m, hour or day: the interval that starts at start_at; local_hour or local_day: one of time_zone that is none of UTC',
    ADD COLUMN IF NOT EXISTS seizures UInt64 DEFAULT attempts AFTER attempts,
    ADD COLUMN IF NOT EXISTS recorded UInt64 AFTER short_calls,
    ADD COLUMN IF NOT EXISTS recording_unknown UInt64 DEFAULT answered AFTER recorded,
    ADD COLUMN IF NOT EXISTS `starts.second` Array(UInt32) CODEC(Delta(4), ZSTD(1)) COMMENT 'seconds (Unix time) in which attempts started, sorted: a peak of groups does not follow from theirs' AFTER ring_ms,
    ADD COLUMN IF NOT EXISTS `starts.calls` Array(UInt32) COMMENT 'attempts that started in each' AFTER `starts.second`,
    ADD COLUMN IF NOT EXISTS `costs.currency` Array(String) DEFAULT if(length(currencies) = 1, currencies, []) COMMENT 'currencies of the costs, sorted' AFTER cost_provisional,
    ADD COLUMN IF NOT EXISTS `costs.counted` Array(UInt64) DEFAULT if(length(currencies) = 1, [toUInt64(isNotNull(cost))], []) COMMENT 'attempts with a cost in each, not in conflict' AFTER `costs.currency`,
    ADD COLUMN IF NOT EXISTS `costs.cost` Array(Decimal(38, 6)) DEFAULT if(length(currencies) = 1, [ifNull(cost, 0)], []) AFTER `costs.counted`,
    ADD COLUMN IF NOT EXISTS `costs.in_conflict` Array(UInt64) DEFAULT if(length(currencies) = 1, [toUInt64(isNotNull(cost_in_conflict))], []) AFTER `costs.cost`,
    ADD COLUMN IF NOT EXISTS `costs.cost_in_conflict` Array(Decimal(38, 6)) DEFAULT if(length(currencies) = 1, [ifNull(cost_in_conflict, 0)], []) AFTER `costs.in_conflict`,
    ADD COLUMN IF NOT EXISTS `costs.provisional` Array(UInt64) DEFAULT if(length(currencies) = 1, [toUInt64(isNotNull(cost_provisional))], []) AFTER `costs.cost_in_conflict`,
    ADD COLUMN IF NOT EXISTS `costs.cost_provisional` Array(Decimal(38, 6)) DEFAULT if(length(currencies) = 1, [ifNull(cost_provisional, 0)], []) AFTER `costs.provisional`,
    ADD COLUMN IF NOT EXISTS time_zone LowCardinality(String) DEFAULT 'UTC' COMMENT 'zone of the account when the row was computed' AFTER `costs.cost_provisional`,
    ADD COLUMN IF NOT EXISTS utc_offset_s Int32 DEFAULT 0 COMMENT 'seconds of its clock ahead of UTC at start_at' AFTER time_zone,
    ADD COLUMN IF NOT EXISTS local_start_at DateTime('UTC') DEFAULT start_at CODEC(Delta, ZSTD(1)) COMMENT 'start of the interval on the wall clock of time_zone' AFTER utc_offset_s,
    ADD COLUMN IF NOT EXISTS length_s UInt32 DEFAULT multiIf(grain = '5m', 300, grain = 'hour', 3600, 86400) COMMENT 'length of the interval' AFTER local_start_at,
    ADD COLUMN IF NOT EXISTS is_local Bool DEFAULT true COMMENT 'the interval is one of time_zone' AFTER length_s,
    ADD COLUMN IF NOT EXISTS revision UInt16 COMMENT 'of the statements that computed the row' AFTER is_local,
    ADD INDEX IF NOT EXISTS ix_local_start_at local_start_at TYPE minmax GRANULARITY 1;

CREATE TABLE IF NOT EXISTS {{database}}.account_zones {{on_cluster}}
(
    vendor LowCardinality(String) COMMENT 'empty with account: the row of every account that has none of its own',
    account String COMMENT 'the configured account, as in the column account of calls',
    time_zone LowCardinality(String) COMMENT 'IANA name; empty: the account sets none any more',
    version UInt64 DEFAULT toUnixTimestamp64Milli(now64(3))
)
ENGINE = {{replacing}}
ORDER BY (vendor, account)
COMMENT 'Time zones of accounts as the settings of the sink say, which writes them: read v_account_zones instead';

CREATE OR REPLACE VIEW {{database}}.v_account_zones {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT vendor, account, time_zone FROM {{database}}.account_zones FINAL WHERE time_zone != ''
COMMENT 'Time zones of accounts, by which v_kpi_*_local count; the row with neither vendor nor account is for all others';

-- each: 5m=300
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}} {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    k.start_at AS slot_at,
    toUInt32({{value}}) AS slot_s,
    k.vendor AS vendor,
    k.account AS account,
    k.account_id AS account_id,
    k.direction AS direction,
    sum(k.attempts) AS attempts,
    sum(k.seizures) AS seizures,
    sum(k.answered) AS answered,
    sum(k.network_effective) AS network_effective,
    sum(k.provisional) AS provisional,
    sum(k.in_conflict) AS in_conflict,
    if(seizures = 0, NULL, answered / seizures) AS asr,
    if(attempts = 0, NULL, answered / attempts) AS abr,
    if(seizures = 0, NULL, network_effective / seizures) AS ner,
    sum(k.talk_total_ms) AS talk_total_ms,
    talk_total_ms / 60000 AS talk_min,
    sum(k.answered_without_talk) AS answered_without_talk,
    sum(k.answered_with_talk) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    sum(k.talk_in_conflict_ms) AS talk_in_conflict_ms,
    talk_total_ms / 1000 / slot_s AS erlangs,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.5)(k.pdd_ms)) AS pdd_p50_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.95)(k.pdd_ms)) AS pdd_p95_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.99)(k.pdd_ms)) AS pdd_p99_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.5)(k.ring_ms)) AS ring_p50_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.95)(k.ring_ms)) AS ring_p95_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.99)(k.ring_ms)) AS ring_p99_ms,
    sum(k.short_calls) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    sum(k.recorded) AS recorded,
    sum(k.recording_unknown) AS recording_unknown,
    if(answered = recording_unknown, NULL, recorded / (answered - recording_unknown)) AS recording_coverage,
    sum(k.billed_s) AS billed_s,
    billed_s / 60 AS billed_min,
    sum(k.billable_in_conflict_s) AS billable_in_conflict_s,
    sum(k.billable_provisional_s) AS billable_provisional_s,
    toBool(length(groupUniqArrayArray(k.currencies)) > 1) AS is_mixed,
    if(is_mixed, 'mixed', groupUniqArrayArray(k.currencies)[1]) AS currency,
    if(is_mixed, NULL, sum(k.cost)) AS cost,
    if(is_mixed, NULL, sum(k.cost_in_conflict)) AS cost_in_conflict,
    if(is_mixed, NULL, sum(k.cost_provisional)) AS cost_provisional,
    if(talk_total_ms = 0 OR is_mixed, NULL, toFloat64(sum(k.cost)) * 60000 / talk_total_ms) AS cost_per_minute,
    toUInt32(arrayMax(sumMap(k.`starts.second`, k.`starts.calls`).2)) AS cps_peak
FROM {{database}}.kpi_calls AS k FINAL
WHERE k.grain = '{{each}}' AND k.calls > 0
GROUP BY k.start_at, k.vendor, k.account, k.account_id, k.direction
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per slot of start (UTC), vendor, account and direction; the formula stands at each column. Computed by the sink within seconds after a call is written. By local time: v_kpi_{{each}}_local; by currency: v_kpi_{{each}}_cost; conferences: v_conferences; charges of every kind: v_charges_day';

CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}}_local {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    k.local_start_at AS local_slot_at,
    toDate(local_slot_at) AS local_date,
    toHour(local_slot_at) AS local_hour,
    k.time_zone AS time_zone,
    k.utc_offset_s AS utc_offset_s,
    k.start_at AS slot_at,
    k.length_s AS slot_s,
    k.vendor AS vendor,
    k.account AS account,
    k.account_id AS account_id,
    k.direction AS direction,
    sum(k.attempts) AS attempts,
    sum(k.seizures) AS seizures,
    sum(k.answered) AS answered,
    sum(k.network_effective) AS network_effective,
    sum(k.provisional) AS provisional,
    sum(k.in_conflict) AS in_conflict,
    if(seizures = 0, NULL, answered / seizures) AS asr,
    if(attempts = 0, NULL, answered / attempts) AS abr,
    if(seizures = 0, NULL, network_effective / seizures) AS ner,
    sum(k.talk_total_ms) AS talk_total_ms,
    talk_total_ms / 60000 AS talk_min,
    sum(k.answered_without_talk) AS answered_without_talk,
    sum(k.answered_with_talk) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    sum(k.talk_in_conflict_ms) AS talk_in_conflict_ms,
    talk_total_ms / 1000 / slot_s AS erlangs,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.5)(k.pdd_ms)) AS pdd_p50_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.95)(k.pdd_ms)) AS pdd_p95_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.99)(k.pdd_ms)) AS pdd_p99_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.5)(k.ring_ms)) AS ring_p50_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.95)(k.ring_ms)) AS ring_p95_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.99)(k.ring_ms)) AS ring_p99_ms,
    sum(k.short_calls) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    sum(k.recorded) AS recorded,
    sum(k.recording_unknown) AS recording_unknown,
    if(answered = recording_unknown, NULL, recorded / (answered - recording_unknown)) AS recording_coverage,
    sum(k.billed_s) AS billed_s,
    billed_s / 60 AS billed_min,
    sum(k.billable_in_conflict_s) AS billable_in_conflict_s,
    sum(k.billable_provisional_s) AS billable_provisional_s,
    toBool(length(groupUniqArrayArray(k.currencies)) > 1) AS is_mixed,
    if(is_mixed, 'mixed', groupUniqArrayArray(k.currencies)[1]) AS currency,
    if(is_mixed, NULL, sum(k.cost)) AS cost,
    if(is_mixed, NULL, sum(k.cost_in_conflict)) AS cost_in_conflict,
    if(is_mixed, NULL, sum(k.cost_provisional)) AS cost_provisional,
    if(talk_total_ms = 0 OR is_mixed, NULL, toFloat64(sum(k.cost)) * 60000 / talk_total_ms) AS cost_per_minute,
    toUInt32(arrayMax(sumMap(k.`starts.second`, k.`starts.calls`).2)) AS cps_peak
FROM {{database}}.kpi_calls AS k FINAL
WHERE k.grain IN ('{{each}}', 'local_{{each}}') AND k.is_local AND k.calls > 0
GROUP BY k.local_start_at, k.time_zone, k.utc_offset_s, k.start_at, k.vendor, k.account, k.account_id, k.direction, k.length_s
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per interval of local time, in the zone of each account; columns as in v_kpi_{{each}}. All rows have the calls of all rows of v_kpi_{{each}}. In any other zone: v_kpi_{{each}}_in';

-- each: hour=3600 day=86400
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}} {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    k.start_at AS slot_at,
    toUInt32({{value}}) AS slot_s,
    k.vendor AS vendor,
    k.account AS account,
    k.account_id AS account_id,
    k.direction AS direction,
    sum(k.attempts) AS attempts,
    sum(k.seizures) AS seizures,
    sum(k.answered) AS answered,
    sum(k.network_effective) AS network_effective,
    sum(k.provisional) AS provisional,
    sum(k.in_conflict) AS in_conflict,
    if(seizures = 0, NULL, answered / seizures) AS asr,
    if(attempts = 0, NULL, answered / attempts) AS abr,
    if(seizures = 0, NULL, network_effective / seizures) AS ner,
    sum(k.talk_total_ms) AS talk_total_ms,
    talk_total_ms / 60000 AS talk_min,
    sum(k.answered_without_talk) AS answered_without_talk,
    sum(k.answered_with_talk) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    sum(k.talk_in_conflict_ms) AS talk_in_conflict_ms,
    talk_total_ms / 1000 / slot_s AS erlangs,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.5)(k.pdd_ms)) AS pdd_p50_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.95)(k.pdd_ms)) AS pdd_p95_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.99)(k.pdd_ms)) AS pdd_p99_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.5)(k.ring_ms)) AS ring_p50_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.95)(k.ring_ms)) AS ring_p95_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.99)(k.ring_ms)) AS ring_p99_ms,
    sum(k.short_calls) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    sum(k.recorded) AS recorded,
    sum(k.recording_unknown) AS recording_unknown,
    if(answered = recording_unknown, NULL, recorded / (answered - recording_unknown)) AS recording_coverage,
    sum(k.billed_s) AS billed_s,
    billed_s / 60 AS billed_min,
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
COMMENT 'Figures of calls per slot of start (UTC), vendor, account and direction; the formula stands at each column. Computed by the sink within seconds after a call is written. By local time: v_kpi_{{each}}_local; by currency: v_kpi_{{each}}_cost; conferences: v_conferences; charges of every kind: v_charges_day';

CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}}_local {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    k.local_start_at AS local_slot_at,
    toDate(local_slot_at) AS local_date,
    toHour(local_slot_at) AS local_hour,
    k.time_zone AS time_zone,
    k.utc_offset_s AS utc_offset_s,
    k.start_at AS slot_at,
    k.length_s AS slot_s,
    k.vendor AS vendor,
    k.account AS account,
    k.account_id AS account_id,
    k.direction AS direction,
    sum(k.attempts) AS attempts,
    sum(k.seizures) AS seizures,
    sum(k.answered) AS answered,
    sum(k.network_effective) AS network_effective,
    sum(k.provisional) AS provisional,
    sum(k.in_conflict) AS in_conflict,
    if(seizures = 0, NULL, answered / seizures) AS asr,
    if(attempts = 0, NULL, answered / attempts) AS abr,
    if(seizures = 0, NULL, network_effective / seizures) AS ner,
    sum(k.talk_total_ms) AS talk_total_ms,
    talk_total_ms / 60000 AS talk_min,
    sum(k.answered_without_talk) AS answered_without_talk,
    sum(k.answered_with_talk) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    sum(k.talk_in_conflict_ms) AS talk_in_conflict_ms,
    talk_total_ms / 1000 / slot_s AS erlangs,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.5)(k.pdd_ms)) AS pdd_p50_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.95)(k.pdd_ms)) AS pdd_p95_ms,
    if(sum(length(k.pdd_ms)) = 0, NULL, quantileExactArray(0.99)(k.pdd_ms)) AS pdd_p99_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.5)(k.ring_ms)) AS ring_p50_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.95)(k.ring_ms)) AS ring_p95_ms,
    if(sum(length(k.ring_ms)) = 0, NULL, quantileExactArray(0.99)(k.ring_ms)) AS ring_p99_ms,
    sum(k.short_calls) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    sum(k.recorded) AS recorded,
    sum(k.recording_unknown) AS recording_unknown,
    if(answered = recording_unknown, NULL, recorded / (answered - recording_unknown)) AS recording_coverage,
    sum(k.billed_s) AS billed_s,
    billed_s / 60 AS billed_min,
    sum(k.billable_in_conflict_s) AS billable_in_conflict_s,
    sum(k.billable_provisional_s) AS billable_provisional_s,
    toBool(length(groupUniqArrayArray(k.currencies)) > 1) AS is_mixed,
    if(is_mixed, 'mixed', groupUniqArrayArray(k.currencies)[1]) AS currency,
    if(is_mixed, NULL, sum(k.cost)) AS cost,
    if(is_mixed, NULL, sum(k.cost_in_conflict)) AS cost_in_conflict,
    if(is_mixed, NULL, sum(k.cost_provisional)) AS cost_provisional,
    if(talk_total_ms = 0 OR is_mixed, NULL, toFloat64(sum(k.cost)) * 60000 / talk_total_ms) AS cost_per_minute
FROM {{database}}.kpi_calls AS k FINAL
WHERE k.grain IN ('{{each}}', 'local_{{each}}') AND k.is_local AND k.calls > 0
GROUP BY k.local_start_at, k.time_zone, k.utc_offset_s, k.start_at, k.vendor, k.account, k.account_id, k.direction, k.length_s
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per interval of local time, in the zone of each account; columns as in v_kpi_{{each}}. All rows have the calls of all rows of v_kpi_{{each}}. In any other zone: v_kpi_{{each}}_in';

-- each: view=v_kpi_5m view=v_kpi_hour view=v_kpi_day
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN slot_at 'start of the interval (UTC); a call counts in the interval of its started_at, the earliest instant of any of its legs',
    COMMENT COLUMN slot_s 'length of the interval in s',
    COMMENT COLUMN account 'the configured account whose address let the calls in; empty for none',
    COMMENT COLUMN attempts 'call attempts of which all is known (is_final), the bids of ITU-T E.600; provisional ones are not among them',
    COMMENT COLUMN seizures 'attempts for which the network had a circuit (ITU-T E.600): all but those that ended as congestion or barred and never rang',
    COMMENT COLUMN answered 'attempts with disposition answered',
    COMMENT COLUMN network_effective 'attempts that the network served (ITU-T E.425): answered, busy, no_answer, rejected, and cancelled by the caller after ringing. It rang when alerting_at is set or ring_ms > 0: a vendor that reports no alerting counts ring_ms from the start',
    COMMENT COLUMN provisional 'calls of which more may still come (not is_final): in no ratio, percentile or sum of this row but their own columns',
    COMMENT COLUMN in_conflict 'calls flagged conflict_final and not yet resolved (v_conflicts): counted as they are shown, their amounts only in *_in_conflict',
    COMMENT COLUMN asr 'answer-seizure ratio (ITU-T E.411, E.425) = answered / seizures, 0..1; NULL without seizures',
    COMMENT COLUMN abr 'answer-bid ratio (ITU-T E.411, E.425) = answered / attempts, 0..1; NULL without attempts',
    COMMENT COLUMN ner 'network effectiveness ratio (ITU-T E.425) = network_effective / seizures, 0..1; NULL without seizures. Of one operator to the next RFC 6076 has the like: SER and SEER, of SIP responses alone',
    COMMENT COLUMN talk_total_ms 'sum of talk_ms over answered attempts that are not in conflict',
    COMMENT COLUMN talk_min 'talk_total_ms / 60000: minutes of conversation',
    COMMENT COLUMN answered_without_talk 'answered attempts not in conflict whose talk is not known: left out of acd_s, erlangs and short_call_ratio',
    COMMENT COLUMN answered_with_talk 'answered attempts not in conflict whose talk is known',
    COMMENT COLUMN acd_s 'average call duration in s (mean conversation time) = talk_total_ms / 1000 / answered_with_talk; NULL without any',
    COMMENT COLUMN talk_in_conflict_ms 'sum of talk_ms over answered calls in conflict, as their shown contents say',
    COMMENT COLUMN erlangs 'carried traffic (ITU-T E.600) = talk_total_ms / 1000 / slot_s; the whole talk of a call counts in the interval of its start, so of intervals shorter than calls take the mean of many',
    COMMENT COLUMN pdd_p50_ms 'median post-dial delay (alerting - setup, ITU-T E.721) of attempts where it is known: the value at position floor(0.5 n) of n sorted ones, counted from 0; one that occurred, never interpolated',
    COMMENT COLUMN pdd_p95_ms '95th percentile of the post-dial delay: the value at position floor(0.95 n) of n sorted ones, counted from 0',
    COMMENT COLUMN pdd_p99_ms '99th percentile of the post-dial delay: the value at position floor(0.99 n) of n sorted ones, counted from 0',
    COMMENT COLUMN ring_p50_ms 'median ringing time ((answer or end) - alerting) of attempts where it is known: position floor(0.5 n), as pdd_p50_ms',
    COMMENT COLUMN ring_p95_ms '95th percentile of the ringing time: position floor(0.95 n), as pdd_p95_ms',
    COMMENT COLUMN ring_p99_ms '99th percentile of the ringing time: position floor(0.99 n), as pdd_p99_ms',
    COMMENT COLUMN short_calls 'answered attempts not in conflict with less than 6 s of talk',
    COMMENT COLUMN short_call_ratio 'short_calls / answered_with_talk, 0..1; NULL without any',
    COMMENT COLUMN recorded 'answered attempts with a recording: recording_state available or expired',
    COMMENT COLUMN recording_unknown 'answered attempts of which the vendor does not say whether they were recorded: left out of recording_coverage',
    COMMENT COLUMN recording_coverage 'recorded / (answered - recording_unknown), 0..1; one that is still expected (pending) counts as not recorded; NULL without any',
    COMMENT COLUMN billed_s 'sum of billable_s over attempts that are not in conflict; NULL: not known of any',
    COMMENT COLUMN billed_min 'billed_s / 60: billed minutes',
    COMMENT COLUMN billable_in_conflict_s 'sum of billable_s over calls in conflict, as their shown contents say; NULL: none',
    COMMENT COLUMN billable_provisional_s 'sum of billable_s over provisional calls; NULL: none',
    COMMENT COLUMN is_mixed 'the costs of this row are in more than one currency: then there is no total, and v_kpi_*_cost have one for each currency',
    COMMENT COLUMN currency 'of the costs; mixed: more than one, then there is no total',
    COMMENT COLUMN cost 'sum of cost over attempts that are not in conflict; NULL: no vendor sent one, or currencies are mixed',
    COMMENT COLUMN cost_in_conflict 'sum of cost over calls in conflict, as their shown contents say; NULL: none, or currencies are mixed',
    COMMENT COLUMN cost_provisional 'sum of cost over provisional calls; NULL: none, or currencies are mixed',
    COMMENT COLUMN cost_per_minute 'cost / talk_min; NULL without talk, without costs, or when currencies are mixed';

-- each: view=v_kpi_5m_local view=v_kpi_hour_local view=v_kpi_day_local
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN local_slot_at 'start of the interval on the wall clock of time_zone. It is typed DateTime(UTC) so that no tool shifts it: show it with the time zone UTC. The hour that a clock repeats is there twice, with another utc_offset_s and slot_at. A query of years is faster with bounds on slot_at as well, a day wider than those on this column',
    COMMENT COLUMN local_date 'date of local_slot_at',
    COMMENT COLUMN local_hour 'hour of the day of local_slot_at, 0..23; 0 of days',
    COMMENT COLUMN time_zone 'IANA name of the zone, that of the column account (v_account_zones), not of account_id. While figures follow a changed zone it is the one that a row was computed for, and each call counts in one row',
    COMMENT COLUMN utc_offset_s 'seconds of local_slot_at ahead of slot_at; of days, at the beginning of the day',
    COMMENT COLUMN slot_at 'the instant (UTC) at which the interval begins; a call counts in the interval of its started_at, the earliest instant of any of its legs',
    COMMENT COLUMN slot_s 'length of the interval in s: a day on which clocks change has 23, 25 or 23.5 hours, an hour that they cut may be shorter',
    COMMENT COLUMN account 'the configured account whose address let the calls in; empty for none',
    COMMENT COLUMN attempts 'call attempts of which all is known (is_final), the bids of ITU-T E.600; provisional ones are not among them',
    COMMENT COLUMN seizures 'attempts for which the network had a circuit (ITU-T E.600): all but those that ended as congestion or barred and never rang',
    COMMENT COLUMN answered 'attempts with disposition answered',
    COMMENT COLUMN network_effective 'attempts that the network served (ITU-T E.425): answered, busy, no_answer, rejected, and cancelled by the caller after ringing. It rang when alerting_at is set or ring_ms > 0: a vendor that reports no alerting counts ring_ms from the start',
    COMMENT COLUMN provisional 'calls of which more may still come (not is_final): in no ratio, percentile or sum of this row but their own columns',
    COMMENT COLUMN in_conflict 'calls flagged conflict_final and not yet resolved (v_conflicts): counted as they are shown, their amounts only in *_in_conflict',
    COMMENT COLUMN asr 'answer-seizure ratio (ITU-T E.411, E.425) = answered / seizures, 0..1; NULL without seizures',
    COMMENT COLUMN abr 'answer-bid ratio (ITU-T E.411, E.425) = answered / attempts, 0..1; NULL without attempts',
    COMMENT COLUMN ner 'network effectiveness ratio (ITU-T E.425) = network_effective / seizures, 0..1; NULL without seizures. Of one operator to the next RFC 6076 has the like: SER and SEER, of SIP responses alone',
    COMMENT COLUMN talk_total_ms 'sum of talk_ms over answered attempts that are not in conflict',
    COMMENT COLUMN talk_min 'talk_total_ms / 60000: minutes of conversation',
    COMMENT COLUMN answered_without_talk 'answered attempts not in conflict whose talk is not known: left out of acd_s, erlangs and short_call_ratio',
    COMMENT COLUMN answered_with_talk 'answered attempts not in conflict whose talk is known',
    COMMENT COLUMN acd_s 'average call duration in s (mean conversation time) = talk_total_ms / 1000 / answered_with_talk; NULL without any',
    COMMENT COLUMN talk_in_conflict_ms 'sum of talk_ms over answered calls in conflict, as their shown contents say',
    COMMENT COLUMN erlangs 'carried traffic (ITU-T E.600) = talk_total_ms / 1000 / slot_s; the whole talk of a call counts in the interval of its start, so of intervals shorter than calls take the mean of many',
    COMMENT COLUMN pdd_p50_ms 'median post-dial delay (alerting - setup, ITU-T E.721) of attempts where it is known: the value at position floor(0.5 n) of n sorted ones, counted from 0; one that occurred, never interpolated',
    COMMENT COLUMN pdd_p95_ms '95th percentile of the post-dial delay: the value at position floor(0.95 n) of n sorted ones, counted from 0',
    COMMENT COLUMN pdd_p99_ms '99th percentile of the post-dial delay: the value at position floor(0.99 n) of n sorted ones, counted from 0',
    COMMENT COLUMN ring_p50_ms 'median ringing time ((answer or end) - alerting) of attempts where it is known: position floor(0.5 n), as pdd_p50_ms',
    COMMENT COLUMN ring_p95_ms '95th percentile of the ringing time: position floor(0.95 n), as pdd_p95_ms',
    COMMENT COLUMN ring_p99_ms '99th percentile of the ringing time: position floor(0.99 n), as pdd_p99_ms',
    COMMENT COLUMN short_calls 'answered attempts not in conflict with less than 6 s of talk',
    COMMENT COLUMN short_call_ratio 'short_calls / answered_with_talk, 0..1; NULL without any',
    COMMENT COLUMN recorded 'answered attempts with a recording: recording_state available or expired',
    COMMENT COLUMN recording_unknown 'answered attempts of which the vendor does not say whether they were recorded: left out of recording_coverage',
    COMMENT COLUMN recording_coverage 'recorded / (answered - recording_unknown), 0..1; one that is still expected (pending) counts as not recorded; NULL without any',
    COMMENT COLUMN billed_s 'sum of billable_s over attempts that are not in conflict; NULL: not known of any',
    COMMENT COLUMN billed_min 'billed_s / 60: billed minutes',
    COMMENT COLUMN billable_in_conflict_s 'sum of billable_s over calls in conflict, as their shown contents say; NULL: none',
    COMMENT COLUMN billable_provisional_s 'sum of billable_s over provisional calls; NULL: none',
    COMMENT COLUMN is_mixed 'the costs of this row are in more than one currency: then there is no total, and v_kpi_*_cost have one for each currency',
    COMMENT COLUMN currency 'of the costs; mixed: more than one, then there is no total',
    COMMENT COLUMN cost 'sum of cost over attempts that are not in conflict; NULL: no vendor sent one, or currencies are mixed',
    COMMENT COLUMN cost_in_conflict 'sum of cost over calls in conflict, as their shown contents say; NULL: none, or currencies are mixed',
    COMMENT COLUMN cost_provisional 'sum of cost over provisional calls; NULL: none, or currencies are mixed',
    COMMENT COLUMN cost_per_minute 'cost / talk_min; NULL without talk, without costs, or when currencies are mixed';

-- each: view=v_kpi_5m view=v_kpi_5m_local
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN cps_peak 'call attempts per second at the peak: the most attempts of this row that started in one second. That of an hour or a day of the same group is the highest of its five minutes; peaks of several groups do not add up';

-- each: view=v_account_zones
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN vendor 'empty with account: every account without a row of its own',
    COMMENT COLUMN account 'the configured account, as in the column account of calls, never account_id',
    COMMENT COLUMN time_zone 'IANA name';
