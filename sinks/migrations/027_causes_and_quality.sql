-- How calls end, how many run at once, and how well vendors deliver. Each reads the tables' views at reading: bounded by its column of
-- time it reads the rows of that time alone.
CREATE OR REPLACE VIEW {{database}}.v_causes {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    toStartOfHour(toDateTime(c.started_at, 'UTC')) AS slot_at,
    c.vendor AS vendor,
    c.account AS account,
    c.account_id AS account_id,
    c.direction AS direction,
    c.disposition AS disposition,
    c.hangup_cause AS hangup_cause,
    c.q850 AS q850,
    c.sip_code AS sip_code,
    count() AS calls,
    countIf(has(c.quality_flags, 'conflict_final') AND NOT has(c.quality_flags, 'conflict_resolved')) AS in_conflict,
    countIf(c.cause_confidence = 'derived') AS derived,
    sum(ifNull(c.talk_ms, 0)) AS talk_total_ms
FROM {{database}}.v_timelines AS c
WHERE c.is_final AND c.call_type = 'call'
GROUP BY slot_at, vendor, account, account_id, direction, disposition, hangup_cause, q850, sip_code
COMMENT 'How calls ended, per hour of start (UTC), vendor, account and direction: calls of which all is known (is_final), each once. A share is calls / sum(calls) over the rows that are compared';

-- A call stands in each minute that it touches, so what is counted in a minute is exact. `end_at` finds calls that began earlier by its
-- index; the day is for those without an end.
CREATE OR REPLACE VIEW {{database}}.v_concurrency {{on_cluster}}
SQL SECURITY DEFINER AS
WITH spans AS
(
    SELECT
        c.vendor AS vendor, c.account AS account, c.account_id AS account_id, c.direction AS direction, c.call_type AS call_type,
        toUnixTimestamp64Micro(c.started_at) AS began_us,
        if(
            c.end_at IS NULL AND c.phase = 0,
            began_us + 86400000000,
            least(began_us + 86400000000, toUnixTimestamp64Micro(greatest(
                c.started_at, ifNull(c.end_at, c.started_at), ifNull(c.answer_at, c.started_at), ifNull(c.alerting_at, c.started_at)
            )))
        ) AS ended_us,
        least(ended_us, if(c.answer_at IS NULL, ended_us, toUnixTimestamp64Micro(assumeNotNull(c.answer_at)))) AS answered_us,
        toUnixTimestamp({from:DateTime('UTC')}) AS from_s,
        toUnixTimestamp({to:DateTime('UTC')}) AS to_s
    FROM {{database}}.v_timelines AS c
    WHERE c.started_at > {from:DateTime('UTC')} - INTERVAL 1 DAY AND c.started_at < {to:DateTime('UTC')}
        AND (c.end_at > {from:DateTime('UTC')} OR c.end_at IS NULL)
)
SELECT
    toDateTime(minute_s, 'UTC') AS minute_at,
    s.vendor AS vendor,
    s.account AS account,
    s.account_id AS account_id,
    s.direction AS direction,
    s.call_type AS call_type,
    countIf(s.began_us <= minute_s * 1000000) AS running,
    toUInt64(maxIntersections(s.began_us, s.ended_us)) AS peak,
    countIf(s.answered_us <= minute_s * 1000000) AS talking,
    toUInt64(maxIntersectionsIf(
        s.answered_us, s.ended_us, s.answered_us < s.ended_us AND s.answered_us < (minute_s + 60) * 1000000
    )) AS talking_peak
FROM spans AS s
ARRAY JOIN range(
    intDiv(greatest(toUInt64(intDiv(s.began_us, 1000000)), from_s), 60) * 60,
    least(toUInt64(intDiv(s.ended_us + 999999, 1000000)), to_s),
    60
) AS minute_s
GROUP BY minute_s, vendor, account, account_id, direction, call_type
COMMENT 'Calls at once, by minute (UTC): SELECT ... FROM v_concurrency(from = ''2026-03-01 08:00:00'', to = ''2026-03-01 09:00:00''). A call lasts from started_at to end_at, a day at the most; an open one without an end (phase 0) is taken to last a day. minute_at: start of the minute; running: calls at its first instant, which add up over groups; peak: most calls of the group at one instant of the minute, which does not add up; talking, talking_peak: the same from answer_at on';

-- What came, how late and how well, by the UTC day of its receipt.
CREATE OR REPLACE VIEW {{database}}.v_vendor_quality {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    day,
    vendor,
    account,
    countIf(what = 'record') AS records,
    countIf(what = 'event') AS events,
    countIf(lag_ms IS NOT NULL) AS timed,
    if(timed = 0, NULL, quantileExactIf(0.5)(assumeNotNull(lag_ms), lag_ms IS NOT NULL)) AS lag_p50_ms,
    if(timed = 0, NULL, quantileExactIf(0.95)(assumeNotNull(lag_ms), lag_ms IS NOT NULL)) AS lag_p95_ms,
    if(timed = 0, NULL, quantileExactIf(0.99)(assumeNotNull(lag_ms), lag_ms IS NOT NULL)) AS lag_p99_ms,
    if(records + events = 0, NULL, quantileExactIf(0.5)(stored_ms, what IN ('record', 'event'))) AS freshness_p50_ms,
    if(records + events = 0, NULL, quantileExactIf(0.99)(stored_ms, what IN ('record', 'event'))) AS freshness_p99_ms,
    countIf(what IN ('record', 'event') AND notEmpty(flags)) AS flagged,
    countIf(hasAny(flags, ['repaired_json', 'charset_repaired', 'key_normalised', 'dup_key'])) AS repaired,
    countIf(hasAny(flags, ['schema_drift', 'type_drift'])) AS drifted,
    countIf(has(flags, 'unknown_enum')) AS unknown_values,
    countIf(has(flags, 'conflict_final') AND what = 'record') AS contradicted,
    countIf(what = 'dead') AS dead,
    countIf(what = 'dead' AND NOT is_whole) AS dead_unresolved,
    if(records + events + dead = 0, NULL, dead / (records + events + dead)) AS dead_ratio,
    countIf(what = 'call') AS calls,
    countIf(what = 'call' AND has_states) AS calls_with_states,
    if(calls_with_states = 0, NULL, countIf(what = 'call' AND has_record AND NOT has_states)) AS calls_without_states,
    countIf(what = 'call' AND NOT has_record AND is_whole) AS calls_without_record,
    maxOrNullIf(received_at, what != 'call') AS last_received_at
FROM
(
    SELECT
        toDate(r.received_at, 'UTC') AS day, 'record' AS what, r.vendor AS vendor, r.account AS account, r.received_at AS received_at,
        dateDiff('millisecond', r.end_at, r.received_at) AS lag_ms, dateDiff('millisecond', r.received_at, r.ingested_at) AS stored_ms,
        r.quality_flags::Array(String) AS flags, true AS has_record, false AS has_states, true AS is_whole
    FROM {{database}}.v_cdr AS r
    UNION ALL
    SELECT
        toDate(e.received_at, 'UTC') AS day, 'event' AS what, e.vendor AS vendor, e.account AS account, e.received_at AS received_at,
        dateDiff('millisecond', e.event_at, e.received_at) AS lag_ms, dateDiff('millisecond', e.received_at, e.ingested_at) AS stored_ms,
        e.quality_flags::Array(String) AS flags, false AS has_record, true AS has_states, true AS is_whole
    FROM {{database}}.v_call_events AS e
    UNION ALL
    SELECT
        toDate(d.occurred_at, 'UTC') AS day, 'dead' AS what, d.vendor AS vendor, d.account AS account, d.occurred_at AS received_at,
        NULL AS lag_ms, 0 AS stored_ms,
        []::Array(String) AS flags, false AS has_record, false AS has_states, d.resolved AS is_whole
    FROM {{database}}.v_dead_letters AS d
    UNION ALL
    SELECT
        toDate(c.last_received_at, 'UTC') AS day, 'call' AS what, c.vendor AS vendor, c.account AS account, c.last_received_at AS received_at,
        NULL AS lag_ms, 0 AS stored_ms,
        []::Array(String) AS flags, c.has_record AS has_record, c.has_states AS has_states, c.phase > 0 AS is_whole
    FROM {{database}}.v_timelines AS c
)
GROUP BY day, vendor, account
COMMENT 'What a vendor delivered, how late and how well, per UTC day of receipt, vendor and account: what to tell the vendor. The flags one by one: v_vendor_flags; the values behind them: v_unknown_values';

CREATE OR REPLACE VIEW {{database}}.v_vendor_flags {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    day,
    vendor,
    account,
    account_id,
    kind,
    f.1 AS flag,
    f.2 AS items,
    of_items,
    items / of_items AS share,
    f.3 AS example_call_id
FROM
(
    SELECT
        day, vendor, account, account_id, kind,
        count() AS of_items,
        sumMap(flags, arrayMap(one -> 1, flags)) AS counted,
        minMap(flags, arrayMap(one -> vendor_call_id, flags)) AS examples,
        arrayZip(counted.1, counted.2, examples.2) AS found
    FROM
    (
        SELECT
            toDate(r.received_at, 'UTC') AS day, r.vendor AS vendor, r.account AS account, r.account_id AS account_id, r.kind AS kind,
            r.vendor_call_id AS vendor_call_id, r.quality_flags::Array(String) AS flags
        FROM {{database}}.v_cdr AS r
        UNION ALL
        SELECT
            toDate(e.received_at, 'UTC') AS day, e.vendor AS vendor, e.account AS account, e.account_id AS account_id, e.kind AS kind,
            e.vendor_call_id AS vendor_call_id, e.quality_flags::Array(String) AS flags
        FROM {{database}}.v_call_events AS e
    )
    GROUP BY day, vendor, account, account_id, kind
)
ARRAY JOIN found AS f
COMMENT 'Records and state events with each quality flag, per UTC day of receipt, vendor, account and kind; the project''s page on schemas says what each flag means';

CREATE OR REPLACE VIEW {{database}}.v_unknown_values {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    day, vendor, account, account_id, kind, flag,
    pair.1 AS field,
    pair.2 AS value,
    count() AS items,
    min(vendor_call_id) AS example_call_id
FROM
(
    SELECT
        toDate(r.received_at, 'UTC') AS day, r.vendor AS vendor, r.account AS account, r.account_id AS account_id, r.kind AS kind,
        r.vendor_call_id AS vendor_call_id,
        arrayJoin(arrayIntersect(r.quality_flags::Array(String), ['unknown_enum', 'schema_drift', 'type_drift', 'range_error'])) AS flag,
        arrayJoin(arrayFilter(one -> one.2 != '', arrayConcat(
            arrayZip(mapKeys(r.extras)::Array(String), mapValues(r.extras)),
            [('hangup_cause', r.hangup_cause::String), ('hangup_reason', r.hangup_reason)]
        ))) AS pair
    FROM {{database}}.v_cdr AS r
    UNION ALL
    SELECT
        toDate(e.received_at, 'UTC') AS day, e.vendor AS vendor, e.account AS account, e.account_id AS account_id, e.kind AS kind,
        e.vendor_call_id AS vendor_call_id,
        arrayJoin(arrayIntersect(e.quality_flags::Array(String), ['unknown_enum', 'schema_drift', 'type_drift', 'range_error'])) AS flag,
        arrayJoin(arrayFilter(one -> one.2 != '', arrayConcat(
            arrayZip(mapKeys(e.extras)::Array(String), mapValues(e.extras)),
            [('hangup_cause', e.hangup_cause::String), ('hangup_reason', e.hangup_reason), ('state', if(e.state = 'unknown', 'unknown', ''))]
        ))) AS pair
    FROM {{database}}.v_call_events AS e
)
GROUP BY day, vendor, account, account_id, kind, flag, field, value
COMMENT 'What stands in the records and state events that are flagged for an unknown value, an undocumented field, another type or an amount out of bounds: fields that have no column, and the cause as sent. The field that is the reason has few values, each often';

CREATE OR REPLACE VIEW {{database}}.v_silent_vendors {{on_cluster}}
SQL SECURITY DEFINER AS
WITH
    heard AS
    (
        SELECT vendor, account, toUnixTimestamp(received_at) AS at_s FROM {{database}}.v_cdr WHERE received_at > now() - INTERVAL 30 DAY
        UNION ALL
        SELECT vendor, account, toUnixTimestamp(received_at) AS at_s FROM {{database}}.v_call_events WHERE received_at > now() - INTERVAL 30 DAY
    )
SELECT
    vendor,
    account,
    toDateTime(max(at_s), 'UTC') AS last_received_at,
    quantileExactArray(0.5)(gaps) AS median_gap_s,
    dateDiff('second', last_received_at, now()) AS silent_s,
    silent_s / median_gap_s AS silent_gaps
FROM
(
    SELECT vendor, account, max(h.at_s) AS at_s, arraySlice(arrayDifference(arraySort(groupUniqArray(h.at_s))), 2) AS gaps
    FROM heard AS h
    GROUP BY vendor, account
    HAVING notEmpty(gaps)
)
GROUP BY vendor, account
HAVING silent_s >= greatest(10 * median_gap_s, 60)
COMMENT 'Vendors, by account, of which nothing came for ten times their median gap, and for a minute at least. Gaps are between the seconds of the last 30 days in which something came; who was heard of once, or not for 30 days, is not here';
