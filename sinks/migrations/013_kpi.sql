-- Key figures of calls by the slot (UTC) in which they started: v_kpi_5m, v_kpi_hour, v_kpi_day. Only calls: a conference is
-- counted once by v_conferences, a voice code is no call. Computed at reading from v_timelines, so a corrected call corrects
-- them. A percentile of a longer slot is not the mean of shorter ones': take the view of the slot that is wanted.
-- Provisional calls, of which more may still come, stand in no ratio and no percentile; amounts of calls whose final contents
-- contradict each other stand in no sum, but in columns of their own.
-- each: 5m=toStartOfFiveMinutes hour=toStartOfHour day=toStartOfDay
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}} {{on_cluster}} AS
WITH calls AS
(
    SELECT
        *,
        disposition = 'answered' AS is_answered,
        has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed,
        is_final AND NOT disputed AS counted,
        alerting_at IS NOT NULL OR ifNull(ring_ms > 0, false) AS rang,
        disposition = 'cancelled' AND (hangup_party = 'a' OR hangup_reason IN ('caller_cancel', 'caller_hangup')) AS given_up
    FROM {{database}}.v_timelines
    WHERE call_type = 'call'
)
SELECT
    toDateTime({{value}}(toDateTime(started_at, 'UTC')), 'UTC') AS slot_at,
    vendor,
    account,
    account_id,
    direction,
    countIf(is_final) AS attempts,
    countIf(is_final AND is_answered) AS answered,
    countIf(
        is_final AND (disposition IN ('answered', 'busy', 'no_answer', 'rejected') OR (given_up AND rang))
    ) AS network_effective,
    countIf(NOT is_final) AS provisional,
    countIf(disputed) AS in_conflict,
    if(attempts = 0, NULL, answered / attempts) AS asr,
    if(attempts = 0, NULL, network_effective / attempts) AS ner,
    sumIf(ifNull(t.talk_ms, 0), counted AND is_answered) AS talk_total_ms,
    countIf(counted AND is_answered AND t.talk_ms IS NULL) AS answered_without_talk,
    countIf(counted AND is_answered AND t.talk_ms IS NOT NULL) AS answered_with_talk,
    if(answered_with_talk = 0, NULL, talk_total_ms / 1000 / answered_with_talk) AS acd_s,
    sumIf(ifNull(t.talk_ms, 0), disputed AND is_answered) AS talk_in_conflict_ms,
    quantileExactIf(0.5)(t.pdd_ms, is_final) AS pdd_p50_ms,
    quantileExactIf(0.95)(t.pdd_ms, is_final) AS pdd_p95_ms,
    quantileExactIf(0.5)(t.ring_ms, is_final) AS ring_p50_ms,
    quantileExactIf(0.95)(t.ring_ms, is_final) AS ring_p95_ms,
    countIf(counted AND is_answered AND t.talk_ms < 6000) AS short_calls,
    if(answered_with_talk = 0, NULL, short_calls / answered_with_talk) AS short_call_ratio,
    sumIf(t.billable_s, counted) AS billed_s,
    sumIf(t.billable_s, disputed) AS billable_in_conflict_s,
    sumIf(t.billable_s, NOT is_final AND NOT disputed) AS billable_provisional_s,
    toBool(uniqExactIf(t.currency, t.cost IS NOT NULL) > 1) AS is_mixed,
    if(is_mixed, 'mixed', anyIf(toString(t.currency), t.cost IS NOT NULL)) AS currency,
    if(is_mixed, NULL, sumIf(t.cost, counted)) AS cost,
    if(is_mixed, NULL, sumIf(t.cost, disputed)) AS cost_in_conflict,
    if(is_mixed, NULL, sumIf(t.cost, NOT is_final AND NOT disputed)) AS cost_provisional,
    if(talk_total_ms = 0 OR is_mixed, NULL, toFloat64(sumIf(t.cost, counted)) * 60000 / talk_total_ms) AS cost_per_minute
FROM calls AS t
GROUP BY slot_at, vendor, account, account_id, direction
COMMENT 'Figures of calls per slot of start (UTC), vendor, account and direction; the formula stands at each column. Conferences: v_conferences; charges of every kind: v_charges_day';

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
