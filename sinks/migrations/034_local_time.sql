-- Figures in the local time of any zone begin and end where its wall clock says: midnight is no instant where a clock goes forward at
-- midnight, as in Cairo, and the engine takes the hour before for it. A bound by the instant, wide enough for every zone, is there
-- for the index. Then the figures by fine dimensions in local time, and those by the hour of the local day.
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
        AND start_at >= toDateTime64({local_from:String}, 0, 'UTC') - 57600
        AND start_at < toDateTime64({local_to:String}, 0, 'UTC') + 57600
        AND wall_at >= toDateTime64({local_from:String}, 0, 'UTC')
        AND wall_at < toDateTime64({local_to:String}, 0, 'UTC')
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
        AND start_at >= toDateTime64({local_from:String}, 0, 'UTC') - 57600
        AND start_at < toDateTime64({local_to:String}, 0, 'UTC') + 57600
        AND wall_at >= toDateTime64({local_from:String}, 0, 'UTC')
        AND wall_at < toDateTime64({local_to:String}, 0, 'UTC')
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
        AND start_at >= toDateTime64({local_from:String}, 0, 'UTC') - 57600
        AND start_at < toDateTime64({local_to:String}, 0, 'UTC') + 57600
        AND wall_at >= toDateTime64({local_from:String}, 0, 'UTC')
        AND wall_at < toDateTime64({local_to:String}, 0, 'UTC')
) AS k
GROUP BY k.day, k.day_at, k.vendor, k.account, k.account_id, k.direction
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls per interval of the local time of any zone: v_kpi_day_in(time_zone = ''Asia/Kathmandu'', local_from = ''2026-03-01 00:00:00'', local_to = ''2026-04-01 00:00:00''), with the times on the wall clock of that zone; columns as in v_kpi_day_local';

-- Without erlangs: hours without calls have no row, so the length of all is not known here.
CREATE OR REPLACE VIEW {{database}}.v_kpi_hour_of_day {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    toHour(k.local_start_at) AS local_hour,
    k.time_zone AS time_zone,
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
WHERE k.grain IN ('hour', 'local_hour') AND k.is_local AND k.calls > 0
    AND k.local_start_at >= toDateTime({local_from:String}, 'UTC')
    AND k.local_start_at < toDateTime({local_to:String}, 'UTC')
GROUP BY local_hour, k.time_zone, k.vendor, k.account, k.account_id, k.direction
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Figures of calls by hour of the local day, 0..23, in the zone of each account: v_kpi_hour_of_day(local_from = ''2026-03-01 00:00:00'', local_to = ''2026-04-01 00:00:00''), with the times on the wall clock of the account; columns as in v_kpi_hour_local. The hour that a clock repeats counts with the one before';

-- An hour in which a clock moves by half an hour is two intervals: the five minutes of its wall clock's hour with one offset.
-- each: hour=local_hour_at-offset_s+300*(indexOf(arrayMap(s->timeZoneOffset(toTimeZone(local_hour_at-offset_s+s,{time_zone:String})),range(0,3600,300)),offset_s)-1) day=toStartOfDay(started_s,{time_zone:String})
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}}_detail_in {{on_cluster}}
SQL SECURITY DEFINER AS
WITH calls AS
(
    SELECT
        *,
        toDateTime(toStartOfFiveMinutes(toDateTime(started_at, 'UTC')), 'UTC') AS started_s,
        timeZoneOffset(toTimeZone(started_s, {time_zone:String})) AS offset_s,
        started_s + offset_s AS wall_at,
        toStartOfHour(wall_at) AS local_hour_at,
        disposition = 'answered' AS is_answered,
        has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed,
        is_final AND NOT disputed AS counted,
        alerting_at IS NOT NULL OR ifNull(ring_ms > 0, false) AS rang,
        disposition = 'cancelled' AND (hangup_party = 'a' OR hangup_reason IN ('caller_cancel', 'caller_hangup')) AS given_up,
        if(direction = 'inbound', from_kind = 'e164', to_kind = 'e164') AS is_e164,
        extract(if(direction = 'inbound', from_masked, to_masked), '^[+]([0-9]+)') AS digits
    FROM {{database}}.masked_timelines
    WHERE started_at >= toDateTime64({local_from:String}, 6, 'UTC') - toIntervalHour(16)
        AND started_at < toDateTime64({local_to:String}, 6, 'UTC') + toIntervalHour(16)
        AND wall_at >= toDateTime64({local_from:String}, 0, 'UTC') AND wall_at < toDateTime64({local_to:String}, 0, 'UTC')
)
SELECT
    toDateTime({{value}}, 'UTC') AS slot_at,
    timeZoneOffset(toTimeZone(slot_at, {time_zone:String})) AS utc_offset_s,
    toDateTime(toStartOfInterval(slot_at + utc_offset_s, INTERVAL 1 {{each}}), 'UTC') AS local_slot_at,
    toDate(local_slot_at) AS local_date,
    toHour(local_slot_at) AS local_hour,
    {time_zone:String} AS time_zone,
    vendor,
    account,
    account_id,
    call_type,
    direction,
    multiIf(
        NOT is_e164 OR digits = '', '',
        left(digits, 1) IN ('1', '7'), left(digits, 1),
        left(digits, 2) IN ('20', '27', '30', '31', '32', '33', '34', '36', '39', '40', '41', '43', '44', '45', '46', '47', '48', '49', '51', '52', '53', '54', '55', '56', '57', '58', '60', '61', '62', '63', '64', '65', '66', '81', '82', '84', '86', '90', '91', '92', '93', '94', '95', '98'), left(digits, 2),
        left(digits, 3)
    ) AS country_code,
    agent_id,
    countIf(is_final) AS attempts,
    countIf(is_final AND NOT (disposition IN ('congestion', 'barred') AND NOT rang)) AS seizures,
    countIf(is_final AND is_answered) AS answered,
    countIf(
        is_final AND (disposition IN ('answered', 'busy', 'no_answer', 'rejected') OR (given_up AND rang))
    ) AS network_effective,
    countIf(NOT is_final) AS provisional,
    countIf(disputed) AS in_conflict,
    if(seizures = 0, NULL, answered / seizures) AS asr,
    if(attempts = 0, NULL, answered / attempts) AS abr,
    if(seizures = 0, NULL, network_effective / seizures) AS ner,
    sumIf(ifNull(t.talk_ms, 0), counted AND is_answered) AS talk_total_ms,
    talk_total_ms / 60000 AS talk_min,
    countIf(counted AND is_answered AND t.talk_ms IS NULL) AS answered_without_talk,
    countIf(counted AND is_answered AND t.talk_ms IS NOT NULL) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    quantileExactIf(0.5)(t.pdd_ms, is_final) AS pdd_p50_ms,
    quantileExactIf(0.95)(t.pdd_ms, is_final) AS pdd_p95_ms,
    quantileExactIf(0.99)(t.pdd_ms, is_final) AS pdd_p99_ms,
    quantileExactIf(0.5)(t.ring_ms, is_final) AS ring_p50_ms,
    quantileExactIf(0.95)(t.ring_ms, is_final) AS ring_p95_ms,
    quantileExactIf(0.99)(t.ring_ms, is_final) AS ring_p99_ms,
    countIf(counted AND is_answered AND t.talk_ms < 6000) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    countIf(is_final AND is_answered AND recording_state IN ('available', 'expired')) AS recorded,
    countIf(is_final AND is_answered AND recording_state = 'unknown') AS recording_unknown,
    if(answered = recording_unknown, NULL, recorded / (answered - recording_unknown)) AS recording_coverage,
    sumIf(t.billable_s, counted) AS billed_s,
    billed_s / 60 AS billed_min,
    toBool(uniqExactIf(t.currency, t.cost IS NOT NULL) > 1) AS is_mixed,
    if(is_mixed, 'mixed', anyIf(toString(t.currency), t.cost IS NOT NULL)) AS currency,
    if(is_mixed, NULL, sumIf(t.cost, counted)) AS cost,
    if(is_mixed, NULL, sumIf(t.cost, disputed)) AS cost_in_conflict
FROM calls AS t
GROUP BY slot_at, vendor, account, account_id, call_type, direction, country_code, agent_id
COMMENT 'Figures per interval of the local time of any zone, call type, country of the other party and agent: v_kpi_{{each}}_detail_in(time_zone = ''Asia/Kathmandu'', local_from = ''2026-03-01 00:00:00'', local_to = ''2026-04-01 00:00:00''), with the times on the wall clock of that zone; columns as in v_kpi_{{each}}_detail, those of local time as in v_kpi_{{each}}_local';
