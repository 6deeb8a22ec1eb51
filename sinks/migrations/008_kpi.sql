-- Key figures of calls by the slot (UTC) in which they started: v_kpi_5m, v_kpi_hour, v_kpi_day. Computed at reading from
-- v_timelines, so a corrected call corrects them. Definitions: ITU-T E.411, E.425; percentiles are exact. A percentile of
-- a longer slot is not the mean of shorter ones': take the view of the slot that is wanted.
-- each: 5m=toStartOfFiveMinutes hour=toStartOfHour day=toStartOfDay
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}} {{on_cluster}} AS
SELECT
    toDateTime({{value}}(toDateTime(started_at, 'UTC')), 'UTC') AS slot_at,
    vendor,
    account_id,
    direction,
    count() AS attempts,
    countIf(disposition = 'answered') AS answered,
    countIf(disposition IN ('answered', 'busy', 'no_answer', 'rejected')) AS network_effective,
    countIf(NOT is_final) AS provisional,
    answered / attempts AS asr,
    network_effective / attempts AS ner,
    sumIf(ifNull(talk_ms, 0), disposition = 'answered') AS talk_total_ms,
    if(answered = 0, NULL, talk_total_ms / 1000 / answered) AS acd_s,
    quantileExact(0.5)(pdd_ms) AS pdd_p50_ms,
    quantileExact(0.95)(pdd_ms) AS pdd_p95_ms,
    quantileExact(0.5)(ring_ms) AS ring_p50_ms,
    quantileExact(0.95)(ring_ms) AS ring_p95_ms,
    countIf(disposition = 'answered' AND talk_ms < 6000) AS short_calls,
    if(answered = 0, NULL, short_calls / answered) AS short_call_ratio,
    if(
        uniqExactIf(t.currency, t.cost IS NOT NULL) > 1, 'mixed', anyIf(toString(t.currency), t.cost IS NOT NULL)
    ) AS currency,
    if(uniqExactIf(t.currency, t.cost IS NOT NULL) > 1, NULL, sum(t.cost)) AS cost,
    if(talk_total_ms = 0, NULL, toFloat64(if(uniqExactIf(t.currency, t.cost IS NOT NULL) > 1, NULL, sum(t.cost)))
        * 60000 / talk_total_ms) AS cost_per_minute
FROM {{database}}.v_timelines AS t
GROUP BY slot_at, vendor, account_id, direction
COMMENT 'Call figures per slot of start (UTC), vendor, account and direction; the formula stands at each column';

ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN slot_at 'start of the slot (UTC); a call counts in the slot of its started_at';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN attempts 'count of calls, provisional ones included';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN answered 'count of calls with disposition answered';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN network_effective 'answered + busy + no_answer + rejected';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN provisional 'calls of which more may still come';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN asr 'answer-seizure ratio = answered / attempts, 0..1';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN ner 'network effectiveness ratio = (answered + busy + no_answer + rejected) / attempts, 0..1';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN talk_total_ms 'sum of talk_ms over answered calls';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN acd_s 'average call duration in s = sum of talk / answered; NULL without answered calls';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN pdd_p50_ms 'median post-dial delay (alerting - setup) of calls where it is known';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN pdd_p95_ms '95th percentile of the post-dial delay';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN ring_p50_ms 'median ringing time ((answer or end) - alerting) of calls where it is known';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN ring_p95_ms '95th percentile of the ringing time';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN short_calls 'answered calls with less than 6 s of talk';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN short_call_ratio 'short_calls / answered, 0..1';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN currency 'currency of cost; mixed: more than one, then there is no total';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN cost 'sum of cost; NULL: no vendor sent one, or currencies are mixed';
ALTER TABLE {{database}}.v_kpi_{{each}} {{on_cluster}} COMMENT COLUMN cost_per_minute 'cost / minutes of talk';
