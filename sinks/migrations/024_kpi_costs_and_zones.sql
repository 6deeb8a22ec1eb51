-- Costs by currency, and figures in any time zone. What is in `kpi_calls` suffices for both; no call is read.
-- each: 5m=300 hour=3600 day=86400
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}}_cost {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    k.start_at AS slot_at,
    toUInt32({{value}}) AS slot_s,
    k.vendor AS vendor,
    k.account AS account,
    k.account_id AS account_id,
    k.direction AS direction,
    c_currency AS currency,
    if(sum(c_counted) = 0, NULL, sum(c_cost)) AS cost,
    if(sum(c_in_conflict) = 0, NULL, sum(c_cost_in_conflict)) AS cost_in_conflict,
    if(sum(c_provisional) = 0, NULL, sum(c_cost_provisional)) AS cost_provisional
FROM {{database}}.kpi_calls AS k FINAL
ARRAY JOIN
    k.`costs.currency` AS c_currency,
    k.`costs.counted` AS c_counted,
    k.`costs.cost` AS c_cost,
    k.`costs.in_conflict` AS c_in_conflict,
    k.`costs.cost_in_conflict` AS c_cost_in_conflict,
    k.`costs.provisional` AS c_provisional,
    k.`costs.cost_provisional` AS c_cost_provisional
WHERE k.grain = '{{each}}' AND k.calls > 0
GROUP BY k.start_at, k.vendor, k.account, k.account_id, k.direction, c_currency
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Costs of calls per slot of start (UTC), vendor, account, direction and currency';

CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}}_cost_local {{on_cluster}}
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
    c_currency AS currency,
    if(sum(c_counted) = 0, NULL, sum(c_cost)) AS cost,
    if(sum(c_in_conflict) = 0, NULL, sum(c_cost_in_conflict)) AS cost_in_conflict,
    if(sum(c_provisional) = 0, NULL, sum(c_cost_provisional)) AS cost_provisional
FROM {{database}}.kpi_calls AS k FINAL
ARRAY JOIN
    k.`costs.currency` AS c_currency,
    k.`costs.counted` AS c_counted,
    k.`costs.cost` AS c_cost,
    k.`costs.in_conflict` AS c_in_conflict,
    k.`costs.cost_in_conflict` AS c_cost_in_conflict,
    k.`costs.provisional` AS c_provisional,
    k.`costs.cost_provisional` AS c_cost_provisional
WHERE k.grain IN ('{{each}}', 'local_{{each}}') AND k.is_local AND k.calls > 0
GROUP BY k.local_start_at, k.time_zone, k.utc_offset_s, k.start_at, k.vendor, k.account, k.account_id, k.direction, k.length_s, c_currency
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Costs of calls per interval of local time, in the zone of each account, vendor, account, direction and currency';

CREATE OR REPLACE VIEW {{database}}.v_kpi_5m_in {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    k.wall_at AS local_slot_at,
    toDate(local_slot_at) AS local_date,
    toHour(local_slot_at) AS local_hour,
    {time_zone:String} AS time_zone,
    k.offset_s AS utc_offset_s,
    k.start_at AS slot_at,
    toUInt32(300) AS slot_s,
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
FROM
(
    SELECT
        *,
        timeZoneOffset(toTimeZone(start_at, {time_zone:String})) AS offset_s,
        start_at + offset_s AS wall_at
    FROM {{database}}.kpi_calls FINAL
    WHERE calls > 0
        AND grain = '5m'
        AND start_at >= toDateTime({local_from:String}, {time_zone:String})
        AND start_at < toDateTime({local_to:String}, {time_zone:String})
) AS k
GROUP BY k.wall_at, k.offset_s, k.start_at, k.vendor, k.account, k.account_id, k.direction
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per interval of the local time of any zone: v_kpi_5m_in(time_zone = ''Asia/Kathmandu'', local_from = ''2026-03-01 00:00:00'', local_to = ''2026-04-01 00:00:00''), with the times on the wall clock of that zone; columns as in v_kpi_5m_local';

CREATE OR REPLACE VIEW {{database}}.v_kpi_hour_in {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    toStartOfHour(k.wall_at) AS local_slot_at,
    toDate(local_slot_at) AS local_date,
    toHour(local_slot_at) AS local_hour,
    {time_zone:String} AS time_zone,
    k.offset_s AS utc_offset_s,
    local_slot_at - utc_offset_s + 300 * (indexOf(arrayMap(s -> timeZoneOffset(toTimeZone(local_slot_at - utc_offset_s + s, {time_zone:String})), range(0, 3600, 300)), utc_offset_s) - 1) AS slot_at,
    toUInt32(300 * countEqual(arrayMap(s -> timeZoneOffset(toTimeZone(local_slot_at - utc_offset_s + s, {time_zone:String})), range(0, 3600, 300)), utc_offset_s)) AS slot_s,
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
FROM
(
    SELECT
        *,
        timeZoneOffset(toTimeZone(start_at, {time_zone:String})) AS offset_s,
        start_at + offset_s AS wall_at
    FROM {{database}}.kpi_calls FINAL
    WHERE calls > 0
        AND grain = if((SELECT max(timeZoneOffset(toTimeZone(toDateTime(946684800 + number * 864000, 'UTC'), {time_zone:String})) % 3600 != 0) FROM numbers(1500)), '5m', 'hour')
        AND start_at >= toDateTime({local_from:String}, {time_zone:String})
        AND start_at < toDateTime({local_to:String}, {time_zone:String})
) AS k
GROUP BY toStartOfHour(k.wall_at), k.offset_s, k.vendor, k.account, k.account_id, k.direction
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per interval of the local time of any zone: v_kpi_hour_in(time_zone = ''Asia/Kathmandu'', local_from = ''2026-03-01 00:00:00'', local_to = ''2026-04-01 00:00:00''), with the times on the wall clock of that zone; columns as in v_kpi_hour_local';

CREATE OR REPLACE VIEW {{database}}.v_kpi_day_in {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    toDateTime(k.day, 'UTC') AS local_slot_at,
    toDate(local_slot_at) AS local_date,
    toHour(local_slot_at) AS local_hour,
    {time_zone:String} AS time_zone,
    timeZoneOffset(toTimeZone(slot_at, {time_zone:String})) AS utc_offset_s,
    k.day_at AS slot_at,
    toUInt32(arrayFirst(s -> toDate(toTimeZone(slot_at + s, {time_zone:String})) != local_date, range(72000, 100801, 900))) AS slot_s,
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
FROM
(
    SELECT
        *,
        timeZoneOffset(toTimeZone(start_at, {time_zone:String})) AS offset_s,
        start_at + offset_s AS wall_at,
        toDate(wall_at) AS day,
        toDateTime(toStartOfDay(start_at, {time_zone:String}), 'UTC') AS day_at
    FROM {{database}}.kpi_calls FINAL
    WHERE calls > 0
        AND grain = if((SELECT max(timeZoneOffset(toTimeZone(toDateTime(946684800 + number * 864000, 'UTC'), {time_zone:String})) % 3600 != 0) FROM numbers(1500)), '5m', 'hour')
        AND start_at >= toDateTime({local_from:String}, {time_zone:String})
        AND start_at < toDateTime({local_to:String}, {time_zone:String})
) AS k
GROUP BY k.day, k.day_at, k.vendor, k.account, k.account_id, k.direction
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per interval of the local time of any zone: v_kpi_day_in(time_zone = ''Asia/Kathmandu'', local_from = ''2026-03-01 00:00:00'', local_to = ''2026-04-01 00:00:00''), with the times on the wall clock of that zone; columns as in v_kpi_day_local';

-- each: view=v_kpi_5m_cost view=v_kpi_hour_cost view=v_kpi_day_cost
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN slot_at 'start of the interval (UTC); a call counts in the interval of its started_at, the earliest instant of any of its legs',
    COMMENT COLUMN slot_s 'length of the interval in s',
    COMMENT COLUMN account 'the configured account whose address let the calls in; empty for none',
    COMMENT COLUMN currency 'of the costs of this row; a group of calls has one row for each currency',
    COMMENT COLUMN cost 'sum of cost over attempts (is_final) in this currency that are not in conflict; NULL: none',
    COMMENT COLUMN cost_in_conflict 'sum of cost over calls in conflict in this currency, as their shown contents say; NULL: none',
    COMMENT COLUMN cost_provisional 'sum of cost over provisional calls in this currency; NULL: none';

-- each: view=v_kpi_5m_cost_local view=v_kpi_hour_cost_local view=v_kpi_day_cost_local
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN local_slot_at 'start of the interval on the wall clock of time_zone. It is typed DateTime(UTC) so that no tool shifts it: show it with the time zone UTC. The hour that a clock repeats is there twice, with another utc_offset_s and slot_at. A query of years is faster with bounds on slot_at as well, a day wider than those on this column',
    COMMENT COLUMN local_date 'date of local_slot_at',
    COMMENT COLUMN local_hour 'hour of the day of local_slot_at, 0..23; 0 of days',
    COMMENT COLUMN time_zone 'IANA name of the zone, that of the column account (v_account_zones), not of account_id. While figures follow a changed zone it is the one that a row was computed for, and each call counts in one row',
    COMMENT COLUMN utc_offset_s 'seconds of local_slot_at ahead of slot_at; of days, at the beginning of the day',
    COMMENT COLUMN slot_at 'the instant (UTC) at which the interval begins; a call counts in the interval of its started_at, the earliest instant of any of its legs',
    COMMENT COLUMN slot_s 'length of the interval in s: a day on which clocks change has 23, 25 or 23.5 hours, an hour that they cut may be shorter',
    COMMENT COLUMN account 'the configured account whose address let the calls in; empty for none',
    COMMENT COLUMN currency 'of the costs of this row; a group of calls has one row for each currency',
    COMMENT COLUMN cost 'sum of cost over attempts (is_final) in this currency that are not in conflict; NULL: none',
    COMMENT COLUMN cost_in_conflict 'sum of cost over calls in conflict in this currency, as their shown contents say; NULL: none',
    COMMENT COLUMN cost_provisional 'sum of cost over provisional calls in this currency; NULL: none';
