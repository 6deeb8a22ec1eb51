-- Figures by what would make a roll-up nearly as large as the calls: call type, country of the other party, agent. And redials, which
-- depend on other calls. Both are computed at reading from calls; a filter by their time reads the calls of that time alone.
-- The calling code is read from the masked form, so that an analyst may see it, also on shards.
-- each: hour=toStartOfHour day=toStartOfDay
CREATE OR REPLACE VIEW {{database}}.v_kpi_{{each}}_detail {{on_cluster}}
SQL SECURITY DEFINER AS
WITH calls AS
(
    SELECT
        *,
        disposition = 'answered' AS is_answered,
        has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed,
        is_final AND NOT disputed AS counted,
        alerting_at IS NOT NULL OR ifNull(ring_ms > 0, false) AS rang,
        disposition = 'cancelled' AND (hangup_party = 'a' OR hangup_reason IN ('caller_cancel', 'caller_hangup')) AS given_up,
        if(direction = 'inbound', from_kind = 'e164', to_kind = 'e164') AS is_e164,
        extract(if(direction = 'inbound', from_masked, to_masked), '^[+]([0-9]+)') AS digits
    FROM {{database}}.masked_timelines
)
SELECT
    toDateTime({{value}}(toDateTime(started_at, 'UTC')), 'UTC') AS slot_at,
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
COMMENT 'Figures per slot of start (UTC), call type, country of the other party and agent, computed at reading from calls: name bounds of slot_at. Conferences and voice codes are rows of their own, by call_type; columns as in v_kpi_{{each}}';

CREATE OR REPLACE VIEW {{database}}.v_kpi_redials {{on_cluster}}
SQL SECURITY DEFINER AS
WITH
    attempts AS
    (
        SELECT
            started_at,
            vendor,
            account,
            account_id,
            direction,
            disposition = 'answered' AS is_answered,
            lagInFrame(toNullable(started_at)) OVER
            (
                PARTITION BY
                    vendor, account, account_id,
                    if(from_token != '', from_token, from_number), if(to_token != '', to_token, to_number)
                ORDER BY started_at, timeline_id
                ROWS BETWEEN 1 PRECEDING AND CURRENT ROW
            ) AS before_at,
            before_at IS NOT NULL AND started_at <= before_at + toIntervalHour(1) AS is_redial
        FROM {{database}}.v_timelines
        WHERE started_at >= toDateTime({from:String}, 'UTC') - toIntervalHour(1)
            AND started_at < toDateTime({to:String}, 'UTC')
            AND is_final AND call_type = 'call'
            AND (from_token != '' OR from_number IS NOT NULL) AND (to_token != '' OR to_number IS NOT NULL)
    )
SELECT
    toDateTime(toStartOfDay(toDateTime(started_at, 'UTC')), 'UTC') AS slot_at,
    vendor,
    account,
    account_id,
    direction,
    count() AS attempts_with_pair,
    countIf(NOT is_redial) AS first_attempts,
    countIf(NOT is_redial AND is_answered) AS first_attempts_answered,
    if(first_attempts = 0, NULL, first_attempts_answered / first_attempts) AS first_attempt_success,
    countIf(is_redial) AS redials,
    countIf(is_redial AND is_answered) AS redials_answered,
    redials / attempts_with_pair AS redial_ratio
FROM attempts
WHERE started_at >= toDateTime({from:String}, 'UTC')
GROUP BY slot_at, vendor, account, account_id, direction
COMMENT 'First attempts and redials by day (UTC), which slot_at begins: v_kpi_redials(from = ''2026-03-01 00:00:00'', to = ''2026-03-02 00:00:00''). attempts_with_pair: attempts (is_final, call_type call) with both numbers; redials: those within an hour after an attempt between the same two numbers, in the same direction, of the same account_id; first_attempts: all others; redials_answered: redials with disposition answered. first_attempt_success = first_attempts_answered / first_attempts, redial_ratio = redials / attempts_with_pair';

-- each: view=v_kpi_hour_detail view=v_kpi_day_detail
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN slot_at 'start of the interval (UTC); a call counts in the interval of its started_at, the earliest instant of any of its legs. Name bounds: only the calls of that time are read then',
    COMMENT COLUMN call_type 'call, conference or voice_code; figures of v_kpi_* are those of call',
    COMMENT COLUMN country_code 'E.164 calling code of the other party, as 86: who called of inbound calls, else who was called; empty where there is no E.164 number. Countries that share a code (1, 7) are one; v_other_parties knows more',
    COMMENT COLUMN agent_id 'the vendor''s id of the agent, as sent; empty for none',
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
    COMMENT COLUMN is_mixed 'the costs of this row are in more than one currency: then there is no total',
    COMMENT COLUMN currency 'of the costs; mixed: more than one, then there is no total',
    COMMENT COLUMN cost 'sum of cost over attempts that are not in conflict; NULL: no vendor sent one, or currencies are mixed',
    COMMENT COLUMN cost_in_conflict 'sum of cost over calls in conflict, as their shown contents say; NULL: none, or currencies are mixed';
