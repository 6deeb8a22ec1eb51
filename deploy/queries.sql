-- Forty questions about calls, as queries of the views of the database `calls`.
--
-- Each has a name, the question in plain words, and examples of its parameters. How to ask one:
--
--     callweave query                                    lists them
--     callweave query asr_drop                           asks one about the last day, as a table
--     callweave query cost_of_prefix --param prefix=+86 --param from='2026-03-01 00:00:00' --format csv
--     callweave query cost_of_prefix --sql               prints it for your own tool: {from:DateTime('UTC')} is a query
--                                                        parameter, which HTTP takes as ?param_from=... and
--                                                        clickhouse-client as --param_from
--
-- `from` and `to` are UTC; `to` is not included, and only that time is read unless the question says so. Callers are told
-- apart by their tokens, which need `privacy.key`. An analyst, who sees no clear number, reads masked_timelines, masked_cdr,
-- masked_call_events and masked_other_parties in the place of the views of the same name with v_; queries that name a
-- *_number are for readers.
-- Amounts in conflict (v_conflicts) and of calls that are not final are in no sum of costs but those that say so; questions of
-- fraud, which cannot wait, count calls that are not final. No sum adds up amounts of several currencies: it is empty then,
-- and `currencies` names them. A number with hidden digits (150****0000) is nobody's: it may be that of many.

-- == Support

-- name: call_ladder
-- What happened to the call with this id of the vendor's, step by step?
-- id: 2016010000000206
SELECT at, vendor, told_by, number, step, detail
FROM
(
    SELECT
        event_at AS at, vendor, 'state event' AS told_by, leg_masked AS number, toString(state) AS step,
        if(event_at IS NULL, trimLeft(concat(hangup_reason, ' received ', toString(received_at))), hangup_reason) AS detail
    FROM v_call_events
    WHERE vendor_call_id = {id:String}
    UNION ALL
    SELECT s.2 AS at, vendor, concat('record, leg ', role) AS told_by, number, s.1 AS step, if(step = 'release', reason, '') AS detail
    FROM
    (
        SELECT
            vendor, role, number, reason,
            arrayJoin([('setup', setup), ('alerting', alerting), ('answer', answer), ('release', ended)]) AS s
        FROM v_timelines
        ARRAY JOIN
            `legs.role` AS role, `legs.number_masked` AS number, `legs.hangup_reason` AS reason, `legs.setup_at` AS setup,
            `legs.alerting_at` AS alerting, `legs.answer_at` AS answer, `legs.end_at` AS ended
        WHERE vendor_call_id = {id:String}
    )
    WHERE at IS NOT NULL
    UNION ALL
    SELECT s.2 AS at, vendor, 'record, call' AS told_by, '' AS number, s.1 AS step, if(step = 'release', reason, '') AS detail
    FROM
    (
        SELECT
            vendor,
            trimRight(concatWithSeparator(' ', disposition, hangup_cause)) AS reason,
            arrayJoin([('setup', setup_at), ('alerting', alerting_at), ('answer', answer_at), ('release', end_at)]) AS s
        FROM v_timelines
        WHERE vendor_call_id = {id:String}
    )
    WHERE at IS NOT NULL
)
ORDER BY vendor, at, indexOf(['setup', 'alerting', 'answer', 'release'], step), told_by, number;

-- name: call_summary
-- How did the call with this id end, who ended it, and what did it cost?
-- id: 2016010000000206
SELECT
    vendor, account, account_id, started_at, direction, from_masked, to_masked, disposition, hangup_cause, q850, sip_code,
    cause_confidence, hangup_party, pdd_ms, ring_ms, talk_ms, billable_s, cost, currency, is_final, quality_flags
FROM v_timelines
WHERE vendor_call_id = {id:String}
ORDER BY started_at;

-- name: calls_of_number
-- Which calls did this number make or take?
-- number: +8613000000001
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT started_at, vendor, vendor_call_id, direction, from_number, to_number, disposition, talk_ms, hangup_party
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND (from_number = {number:String} OR to_number = {number:String} OR has(`legs.number`, {number:String}))
ORDER BY started_at DESC, vendor_call_id
LIMIT 1000;

-- name: calls_of_reference
-- Which calls carry this reference of our own?
-- reference: order-4711
SELECT started_at, vendor, vendor_call_id, direction, disposition, talk_ms, cost, currency, is_final
FROM v_timelines
WHERE custom_ref = {reference:String}
ORDER BY started_at, vendor_call_id;

-- name: why_calls_to_number_fail
-- Why do calls to this number fail?
-- number: +8613000000001
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT disposition, hangup_cause, q850, sip_code, hangup_reason, count() AS calls, max(started_at) AS last_at
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND to_number = {number:String} AND is_final AND disposition != 'answered'
GROUP BY disposition, hangup_cause, q850, sip_code, hangup_reason
ORDER BY calls DESC, disposition, hangup_cause;

-- name: missed_not_called_back
-- Who called us in vain, and has not been spoken to since, up to now?
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
WITH
    missed AS
    (
        SELECT account, from_token AS token, any(from_masked) AS caller, count() AS calls, max(started_at) AS last_missed_at
        FROM v_timelines
        WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
            AND direction = 'inbound' AND is_final AND disposition != 'answered' AND from_token != '' AND from_kind != 'masked'
        GROUP BY account, token
    ),
    spoken AS
    (
        SELECT account, if(direction = 'inbound', from_token, to_token) AS token, max(started_at) AS spoken_at
        FROM v_timelines
        WHERE started_at >= {from:DateTime('UTC')} AND disposition = 'answered'
        GROUP BY account, token
    )
SELECT m.account AS account, m.caller AS caller, m.calls AS calls, m.last_missed_at AS last_missed_at
FROM missed AS m
LEFT JOIN spoken AS s ON s.account = m.account AND s.token = m.token
WHERE ifNull(s.token, '') = '' OR s.spoken_at < m.last_missed_at
ORDER BY last_missed_at, caller;

-- name: call_contradictions
-- Which contradicting contents did the vendor send about the call with this id?
-- id: 2016010000000206
SELECT record_id, digest, is_shown, is_resolved, received_at, disposition, answer_at, end_at, billable_s, cost, currency
FROM v_conflicts
WHERE vendor_call_id = {id:String}
ORDER BY record_id, is_shown DESC, received_at, digest;

-- name: call_bytes
-- Where do the bodies stand in which the vendor told us of the call with this id?
-- id: 2016010000000206
SELECT received_at, kind, source, raw_topic, raw_partition, raw_offset, raw_element, request_id
FROM
(
    SELECT received_at, kind, source, raw_topic, raw_partition, raw_offset, raw_element, request_id
    FROM v_cdr
    WHERE vendor_call_id = {id:String}
    UNION ALL
    SELECT received_at, kind, source, raw_topic, raw_partition, raw_offset, raw_element, request_id
    FROM v_call_events
    WHERE vendor_call_id = {id:String}
)
ORDER BY received_at, raw_partition, raw_offset, raw_element;

-- == Sales

-- name: agents
-- What did each agent do: calls, answered ones, minutes of talk?
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    account,
    agent_id,
    count() AS calls,
    countIf(disposition = 'answered') AS answered,
    round(answered / calls, 4) AS answer_rate,
    round(sum(ifNull(talk_ms, 0)) / 60000, 2) AS talk_min
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND is_final AND call_type = 'call' AND agent_id != ''
GROUP BY account, agent_id
ORDER BY calls DESC, agent_id;

-- name: answer_rate_by_hour
-- At which hour of the day, in the customers' own time, are our calls answered most often?
-- time_zone: Asia/Shanghai
-- from: 2026-03-01 00:00:00
-- to: 2026-03-08 00:00:00
SELECT
    toHour(toTimeZone(started_at, {time_zone:String})) AS local_hour,
    count() AS calls,
    countIf(disposition = 'answered') AS answered,
    round(answered / calls, 4) AS answer_rate
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND is_final AND call_type = 'call' AND direction != 'inbound'
GROUP BY local_hour
ORDER BY answer_rate DESC, local_hour;

-- name: attempts_until_answer
-- How often must we call before somebody answers? At attempt 0 are those who never did.
-- from: 2026-03-01 00:00:00
-- to: 2026-03-08 00:00:00
SELECT attempt, count() AS called, round(called / sum(called) OVER (), 4) AS share
FROM
(
    SELECT
        account, to_token,
        arrayFirstIndex(one -> one.3, arraySort(groupArray((started_at, vendor_call_id, disposition = 'answered')))) AS attempt
    FROM v_timelines
    WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
        AND is_final AND call_type = 'call' AND direction != 'inbound' AND to_token != '' AND to_kind != 'masked'
    GROUP BY account, to_token
)
GROUP BY attempt
ORDER BY attempt;

-- name: accounts_against_before
-- Which accounts call more or less than in the same span of time before?
-- from: 2026-03-08 00:00:00
-- to: 2026-03-15 00:00:00
SELECT
    account,
    account_id,
    countIf(started_at >= {from:DateTime('UTC')}) AS calls,
    countIf(started_at < {from:DateTime('UTC')}) AS calls_before,
    calls - calls_before AS change,
    round(sumIf(ifNull(talk_ms, 0), started_at >= {from:DateTime('UTC')}) / 60000, 2) AS talk_min,
    round(sumIf(ifNull(talk_ms, 0), started_at < {from:DateTime('UTC')}) / 60000, 2) AS talk_min_before
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} - ({to:DateTime('UTC')} - {from:DateTime('UTC')})
    AND started_at < {to:DateTime('UTC')} AND is_final AND call_type = 'call'
GROUP BY account, account_id
ORDER BY abs(change) DESC, account, account_id;

-- name: countries_called
-- Which countries do we call, with what success and at what cost?
-- from: 2026-03-01 00:00:00
-- to: 2026-03-08 00:00:00
SELECT
    country,
    currency,
    count() AS calls,
    countIf(disposition = 'answered') AS answered,
    round(sum(ifNull(talk_ms, 0)) / 60000, 2) AS talk_min,
    sumIf(o.cost, NOT in_conflict) AS cost
FROM v_other_parties AS o
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')} AND is_final AND direction != 'inbound'
GROUP BY country, currency
ORDER BY calls DESC, country, currency;

-- == Finance

-- name: cost_of_prefix
-- What do calls to numbers with these first digits cost?
-- prefix: +8613
-- from: 2026-03-01 00:00:00
-- to: 2026-04-01 00:00:00
SELECT
    vendor,
    currency,
    count() AS calls,
    countIf(disposition = 'answered') AS answered,
    sumIf(o.billable_s, NOT in_conflict) / 60 AS billed_min,
    sumIf(o.cost, NOT in_conflict) AS cost,
    round(toFloat64(cost) / nullIf(billed_min, 0), 6) AS cost_per_min,
    sumIf(o.cost, in_conflict) AS cost_in_conflict
FROM v_other_parties AS o
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND is_final AND direction != 'inbound' AND startsWith(ifNull(other_number, other_masked), {prefix:String})
GROUP BY vendor, currency
ORDER BY vendor, currency;

-- name: cost_by_currency
-- What do vendors charge in each currency, and how much of it is in conflict or provisional?
-- from: 2026-03-01 00:00:00
-- to: 2026-04-01 00:00:00
WITH has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed
SELECT
    vendor,
    account,
    call_type,
    currency,
    countIf(is_final AND NOT disputed) AS calls,
    sumIf(t.cost, is_final AND NOT disputed) AS cost,
    sumIf(t.cost, disputed) AS cost_in_conflict,
    sumIf(t.cost, NOT is_final AND NOT disputed) AS cost_provisional
FROM v_timelines AS t
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')} AND t.cost IS NOT NULL
GROUP BY vendor, account, call_type, currency
ORDER BY currency, cost DESC, vendor, account, call_type;

-- name: records_in_conflict
-- Which records contradict themselves, and how much money hangs on each?
-- from: 2026-03-01 00:00:00
-- to: 2026-04-01 00:00:00
SELECT
    vendor, vendor_call_id, toString(record_id) AS record,
    count() AS contents,
    min(c.cost) AS cost_least,
    max(c.cost) AS cost_most,
    if(uniqExactIf(c.currency, c.cost IS NOT NULL) > 1, NULL, cost_most - cost_least) AS at_stake,
    arrayStringConcat(arraySort(groupUniqArrayIf(toString(c.currency), c.currency != '')), ' ') AS currencies
FROM v_conflicts AS c
WHERE record_id IN
    (
        SELECT record_id
        FROM v_cdr
        WHERE received_at >= {from:DateTime('UTC')} AND received_at < {to:DateTime('UTC')} AND has(quality_flags, 'conflict_final')
    )
    AND NOT is_resolved
GROUP BY vendor, vendor_call_id, record_id
ORDER BY at_stake DESC, vendor_call_id;

-- name: most_expensive_calls
-- Which calls cost the most, in each currency?
-- top: 10
-- from: 2026-03-01 00:00:00
-- to: 2026-04-01 00:00:00
SELECT currency, cost, vendor, account, vendor_call_id, started_at, country, prefix_name, other_masked, billable_s, in_conflict
FROM v_other_parties
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')} AND cost > 0
ORDER BY currency, cost DESC, vendor_call_id
LIMIT {top:UInt32} BY currency;

-- name: provisional_calls
-- How many calls of that time are still provisional, since when, and at what cost?
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    vendor, account, phase,
    count() AS calls,
    min(started_at) AS oldest_at,
    min(vendor_call_id) AS example_call_id,
    arrayStringConcat(arraySort(groupUniqArrayIf(toString(t.currency), t.cost IS NOT NULL)), ' ') AS currencies,
    if(position(currencies, ' ') > 0, NULL, sum(t.cost)) AS cost
FROM v_timelines AS t
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')} AND NOT is_final
GROUP BY vendor, account, phase
ORDER BY calls DESC, vendor, account, phase;

-- name: billed_without_answer
-- Which calls are billed although nobody answered?
-- from: 2026-03-01 00:00:00
-- to: 2026-04-01 00:00:00
SELECT vendor, account, vendor_call_id, started_at, disposition, billable_s, cost, currency
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND is_final AND disposition NOT IN ('answered', 'unknown', 'in_progress') AND (billable_s > 0 OR cost > 0)
ORDER BY cost DESC NULLS LAST, billable_s DESC, vendor_call_id
LIMIT 1000;

-- name: billed_over_talk
-- How much more is billed than was talked, by vendor?
-- from: 2026-03-01 00:00:00
-- to: 2026-04-01 00:00:00
SELECT
    vendor,
    account,
    count() AS calls,
    sum(t.billable_s) AS billed_s,
    sum(t.talk_ms) / 1000 AS talk_s,
    round((billed_s - talk_s) / calls, 3) AS extra_s_per_call,
    round(billed_s / nullIf(talk_s, 0), 4) AS billed_to_talk,
    max(t.billable_s - t.talk_ms / 1000) AS most_extra_s
FROM v_timelines AS t
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND is_final AND disposition = 'answered' AND t.billable_s IS NOT NULL AND t.talk_ms IS NOT NULL
    AND NOT (has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved'))
GROUP BY vendor, account
ORDER BY extra_s_per_call DESC, vendor, account;

-- name: costs_missing
-- Which answered calls have no cost, where the same vendor and account sends costs for others?
-- from: 2026-03-01 00:00:00
-- to: 2026-04-01 00:00:00
SELECT
    vendor,
    account,
    countIf(t.cost IS NULL) AS without_cost,
    countIf(t.cost IS NOT NULL) AS with_cost,
    round(sumIf(ifNull(t.talk_ms, 0), t.cost IS NULL) / 60000, 2) AS talk_min_without_cost,
    minIf(vendor_call_id, t.cost IS NULL) AS example_call_id
FROM v_timelines AS t
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')} AND is_final AND disposition = 'answered'
GROUP BY vendor, account
HAVING without_cost > 0 AND with_cost > 0
ORDER BY without_cost DESC, vendor, account;

-- == Fraud

-- name: wangiri
-- Which ranges of ten thousand numbers ring many of our numbers for a moment, to be called back at a price?
-- max_ring_ms: 3000
-- min_called: 10
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    account,
    concat(substring(assumeNotNull(from_number), 1, length(assumeNotNull(from_number)) - 4), 'xxxx') AS callers_range,
    count() AS calls,
    uniqExact(from_number) AS callers,
    uniqExact(to_token, to_masked) AS called,
    min(started_at) AS first_at,
    max(started_at) AS last_at
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND direction = 'inbound' AND is_final AND disposition != 'answered' AND startsWith(from_number, '+')
    AND ifNull(ring_ms, dateDiff('millisecond', started_at, end_at)) <= {max_ring_ms:UInt32}
GROUP BY account, callers_range
HAVING called >= {min_called:UInt32}
ORDER BY calls DESC, callers_range;

-- name: first_seen_countries
-- Which countries does an account call that it did not call in the days before?
-- days_before: 30
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    account,
    country,
    count() AS calls,
    round(sum(ifNull(talk_ms, 0)) / 60000, 2) AS talk_min,
    arrayStringConcat(arraySort(groupUniqArrayIf(toString(o.currency), o.cost IS NOT NULL)), ' ') AS currencies,
    if(position(currencies, ' ') > 0, NULL, sumIf(o.cost, NOT o.in_conflict)) AS cost,
    min(started_at) AS first_at
FROM v_other_parties AS o
WHERE started_at >= {from:DateTime('UTC')} - toIntervalDay({days_before:UInt32}) AND started_at < {to:DateTime('UTC')}
    AND direction != 'inbound' AND country != ''
GROUP BY account, country
HAVING first_at >= {from:DateTime('UTC')}
ORDER BY cost DESC NULLS LAST, calls DESC, account, country;

-- name: premium_numbers
-- Who calls premium, satellite and other dear kinds of number, for how long and at what cost?
-- min_calls: 1
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    o.account AS account,
    o.prefix AS prefix,
    o.prefix_name AS prefix_name,
    o.prefix_kind AS prefix_kind,
    o.agent_id AS agent_id,
    count() AS calls,
    round(sum(ifNull(o.talk_ms, 0)) / 60000, 2) AS talk_min,
    arrayStringConcat(arraySort(groupUniqArrayIf(toString(o.currency), o.cost IS NOT NULL)), ' ') AS currencies,
    if(position(currencies, ' ') > 0, NULL, sumIf(o.cost, NOT o.in_conflict)) AS cost
FROM v_other_parties AS o
WHERE o.started_at >= {from:DateTime('UTC')} AND o.started_at < {to:DateTime('UTC')} AND o.direction != 'inbound'
    AND o.prefix_kind IN ('premium', 'satellite', 'network', 'shared_cost', 'personal')
GROUP BY account, prefix, prefix_name, prefix_kind, agent_id
HAVING calls >= {min_calls:UInt32}
ORDER BY cost DESC NULLS LAST, talk_min DESC, account, prefix, agent_id;

-- name: sequential_numbers
-- Who calls numbers one after the other?
-- min_run: 10
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    account,
    any(from_masked) AS caller,
    uniqExact(to_number) AS called,
    arraySort(groupUniqArray(toUInt64OrZero(substring(assumeNotNull(to_number), 2)))) AS numbers,
    arrayReverseSort(run -> length(run), arraySplit((number, step) -> step != 1, numbers, arrayDifference(numbers)))[1] AS run,
    length(run) AS run_length,
    concat('+', toString(run[1])) AS run_from,
    concat('+', toString(run[-1])) AS run_to
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND direction != 'inbound' AND startsWith(to_number, '+')
GROUP BY account, from_token, from_number
HAVING run_length >= {min_run:UInt32}
ORDER BY run_length DESC, caller;

-- name: code_pumping
-- To which ranges of ten thousand numbers do many spoken codes go that hardly anybody answers?
-- min_codes: 20
-- max_answer_rate: 0.3
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
WITH has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed
SELECT
    account,
    concat(substring(assumeNotNull(to_number), 1, length(assumeNotNull(to_number)) - 4), 'xxxx') AS called_range,
    count() AS codes,
    uniqExact(to_number) AS numbers,
    countIf(disposition = 'answered') / codes AS answer_rate,
    arrayStringConcat(arraySort(groupUniqArrayIf(toString(t.currency), t.cost IS NOT NULL)), ' ') AS currencies,
    if(position(currencies, ' ') > 0, NULL, sumIf(t.cost, NOT disputed)) AS cost
FROM v_timelines AS t
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND call_type = 'voice_code' AND startsWith(to_number, '+')
GROUP BY account, called_range
HAVING codes >= {min_codes:UInt32} AND answer_rate <= {max_answer_rate:Float64}
ORDER BY codes DESC, called_range;

-- name: overlapping_calls
-- Which callers talk in several calls at once, as one person cannot?
-- min_at_once: 2
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
WITH
    toUnixTimestamp64Micro(assumeNotNull(answer_at)) AS began_us,
    toUnixTimestamp64Micro(assumeNotNull(end_at)) AS ended_us
SELECT
    account,
    any(from_masked) AS caller,
    count() AS answered,
    toUInt64(maxIntersections(began_us, ended_us)) AS at_once,
    fromUnixTimestamp64Micro(toInt64(maxIntersectionsPosition(began_us, ended_us)), 'UTC') AS at_once_at
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND disposition = 'answered' AND answer_at < end_at AND from_masked != '' AND from_kind != 'masked'
GROUP BY account, from_token, from_masked
HAVING at_once >= {min_at_once:UInt32}
ORDER BY at_once DESC, caller;

-- name: many_behind_one_number
-- Behind which privacy number stand many different parties within minutes?
-- minutes: 10
-- min_parties: 5
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    account,
    any(privacy_masked) AS privacy_number,
    toStartOfInterval(toDateTime(started_at, 'UTC'), toIntervalMinute({minutes:UInt32})) AS window_at,
    count() AS calls,
    uniqExact(to_token, to_masked) AS parties
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')} AND privacy_masked != '' AND to_masked != ''
GROUP BY account, privacy_token, privacy_masked, window_at
HAVING parties >= {min_parties:UInt32}
ORDER BY parties DESC, window_at, privacy_number;

-- name: night_spend
-- Which accounts spend by night and at weekends, when nobody should be at work?
-- time_zone: Asia/Shanghai
-- night_from: 22
-- night_to: 6
-- min_share: 0.5
-- from: 2026-03-01 00:00:00
-- to: 2026-03-08 00:00:00
WITH
    toTimeZone(started_at, {time_zone:String}) AS local_at,
    toHour(local_at) >= {night_from:UInt8} AS is_late,
    toHour(local_at) < {night_to:UInt8} AS is_early,
    toDayOfWeek(local_at) > 5 OR if({night_from:UInt8} <= {night_to:UInt8}, is_late AND is_early, is_late OR is_early) AS is_off
SELECT
    account,
    currency,
    sum(t.cost) AS cost,
    sumIf(t.cost, is_off) AS cost_off,
    toFloat64(cost_off) / toFloat64(cost) AS share,
    countIf(is_off) AS calls_off
FROM v_timelines AS t
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')} AND t.cost > 0
    AND NOT (has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved'))
GROUP BY account, currency
HAVING share >= {min_share:Float64}
ORDER BY cost_off DESC, account;

-- name: calls_over_limit
-- Which calls lasted longer than they may, or are open for longer than that?
-- max_minutes: 120
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    vendor, account, vendor_call_id, started_at, from_masked, to_masked, phase = 0 AND end_at IS NULL AS is_open,
    round(talk_ms / 60000, 2) AS talk_min, cost, currency, has(quality_flags, 'over_max') AS over_its_binding
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND (talk_ms > 60000 * {max_minutes:UInt32} OR over_its_binding
        OR (is_open AND started_at < {to:DateTime('UTC')} - toIntervalMinute({max_minutes:UInt32})))
ORDER BY talk_ms DESC NULLS LAST, started_at, vendor_call_id;

-- name: bursts
-- Who makes more calls in one minute than a person can?
-- min_calls: 10
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    account,
    any(from_masked) AS caller,
    toStartOfMinute(toDateTime(started_at, 'UTC')) AS minute_at,
    count() AS calls,
    uniqExact(to_token, to_masked) AS called
FROM v_timelines
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND from_masked != '' AND from_kind != 'masked'
GROUP BY account, from_token, from_masked, minute_at
HAVING calls >= {min_calls:UInt32}
ORDER BY calls DESC, minute_at, caller;

-- == Operations

-- name: vendor_lag
-- Is a vendor slow: how long after the end of a call does its record come, day by day?
-- vendor:
-- from: 2026-03-01 00:00:00
-- to: 2026-03-08 00:00:00
SELECT day, vendor, account, records, events, lag_p50_ms, lag_p95_ms, lag_p99_ms, freshness_p99_ms
FROM v_vendor_quality
WHERE day >= toDate({from:DateTime('UTC')}) AND day < toDate({to:DateTime('UTC')} + 86399)
    AND ({vendor:String} = '' OR vendor = {vendor:String}) AND records + events > 0
ORDER BY vendor, account, day;

-- name: dead_letters_by_code
-- What could not be read, why, and is it still to be sent again?
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    vendor, account, stage, code,
    count() AS letters,
    countIf(NOT resolved) AS unresolved,
    max(occurred_at) AS last_at,
    argMax(detail, occurred_at) AS last_detail,
    argMax(concat(topic, '/', toString(partition), '/', toString(offset)), occurred_at) AS last_place
FROM v_dead_letters
WHERE occurred_at >= {from:DateTime('UTC')} AND occurred_at < {to:DateTime('UTC')}
GROUP BY vendor, account, stage, code
ORDER BY unresolved DESC, letters DESC, vendor, code;

-- name: silence
-- Which vendors have been silent for ten times their usual gap?
SELECT vendor, account, last_received_at, median_gap_s, silent_s, silent_gaps
FROM v_silent_vendors
ORDER BY silent_gaps DESC, vendor, account;

-- name: cause_spikes
-- Which causes of the end are much more frequent than in the days before?
-- days_before: 7
-- min_calls: 20
-- factor: 2
-- from: 2026-03-08 00:00:00
-- to: 2026-03-08 01:00:00
SELECT vendor, disposition, hangup_cause, q850, calls_now, round(share_now, 4) AS share, round(share_before, 4) AS before
FROM
(
    SELECT
        vendor, disposition, hangup_cause, q850,
        sumIf(calls, slot_at >= {from:DateTime('UTC')}) AS calls_now,
        sumIf(calls, slot_at < {from:DateTime('UTC')}) AS calls_before,
        calls_now / sum(calls_now) OVER (PARTITION BY vendor) AS share_now,
        sum(calls_before) OVER (PARTITION BY vendor) AS all_before,
        calls_before / nullIf(all_before, 0) AS share_before
    FROM v_causes
    WHERE slot_at >= {from:DateTime('UTC')} - toIntervalDay({days_before:UInt32}) AND slot_at < {to:DateTime('UTC')}
    GROUP BY vendor, disposition, hangup_cause, q850
)
WHERE calls_now >= {min_calls:UInt32} AND share_now >= {factor:Float64} * share_before AND disposition != 'answered'
ORDER BY share_now - share_before DESC, vendor, disposition;

-- name: asr_drop
-- Where is the share of answered calls much lower than in the same hours a week before?
-- min_attempts: 50
-- drop: 0.3
-- from: 2026-03-08 00:00:00
-- to: 2026-03-08 01:00:00
SELECT
    vendor,
    account,
    direction,
    sumIf(attempts, slot_at >= {from:DateTime('UTC')}) AS attempts_now,
    sumIf(attempts, slot_at < {from:DateTime('UTC')}) AS attempts_before,
    round(sumIf(answered, slot_at >= {from:DateTime('UTC')}) / attempts_now, 4) AS share,
    round(sumIf(answered, slot_at < {from:DateTime('UTC')}) / attempts_before, 4) AS share_before
FROM v_kpi_hour
WHERE (slot_at >= {from:DateTime('UTC')} AND slot_at < {to:DateTime('UTC')})
    OR (slot_at >= {from:DateTime('UTC')} - toIntervalDay(7) AND slot_at < {to:DateTime('UTC')} - toIntervalDay(7))
GROUP BY vendor, account, direction
HAVING attempts_now >= {min_attempts:UInt32} AND attempts_before >= {min_attempts:UInt32}
    AND share < share_before * (1 - {drop:Float64})
ORDER BY share / share_before, vendor, account, direction;

-- name: slow_setup
-- To which countries and by which vendors does it take too long until the phone rings?
-- max_p95_ms: 8000
-- min_calls: 20
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT
    vendor,
    country,
    count() AS calls,
    quantileExact(0.5)(assumeNotNull(pdd_ms)) AS pdd_p50_ms,
    quantileExact(0.95)(assumeNotNull(pdd_ms)) AS pdd_p95_ms
FROM v_other_parties
WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
    AND is_final AND direction != 'inbound' AND pdd_ms IS NOT NULL
GROUP BY vendor, country
HAVING calls >= {min_calls:UInt32} AND pdd_p95_ms > {max_p95_ms:UInt32}
ORDER BY pdd_p95_ms DESC, vendor, country;

-- name: calls_at_once
-- In which minutes did most calls run, and how many people were talking?
-- top: 10
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT minute_at, sum(running) AS running_at_start, sum(talking) AS talking_at_start, max(peak) AS peak_of_largest_group
FROM v_concurrency(from = {from:DateTime('UTC')}, to = {to:DateTime('UTC')})
GROUP BY minute_at
ORDER BY running_at_start DESC, minute_at
LIMIT {top:UInt32};

-- name: unmatched_calls
-- Of which calls did only the states come and no record, or only the record where the vendor sends states?
-- from: 2026-03-01 00:00:00
-- to: 2026-03-02 00:00:00
SELECT vendor, account, lacks, count() AS calls, min(started_at) AS first_at, min(vendor_call_id) AS example_call_id
FROM
(
    SELECT
        vendor, account, vendor_call_id, started_at,
        multiIf(
            phase > 0 AND NOT has_record, 'record',
            has_record AND NOT has_states AND max(has_states) OVER (PARTITION BY vendor, account, kind), 'states',
            ''
        ) AS lacks
    FROM v_timelines
    WHERE started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
)
WHERE lacks != ''
GROUP BY vendor, account, lacks
ORDER BY calls DESC, vendor, account, lacks;

-- name: what_to_tell_the_vendor
-- What did a vendor send that is not as its own document says, how often, and in which call for example?
-- vendor:
-- from: 2026-03-01 00:00:00
-- to: 2026-03-08 00:00:00
SELECT
    vendor,
    kind,
    f.1 AS flag,
    f.2 AS items,
    round(items / of_items, 4) AS share,
    f.3 AS example_call_id
FROM
(
    SELECT
        vendor, kind,
        count() AS of_items,
        sumMap(flags, arrayMap(one -> 1, flags)) AS counted,
        minMap(flags, arrayMap(one -> vendor_call_id, flags)) AS examples
    FROM
    (
        SELECT vendor, kind, vendor_call_id, received_at, quality_flags::Array(String) AS flags
        FROM v_cdr
        UNION ALL
        SELECT vendor, kind, vendor_call_id, received_at, quality_flags::Array(String) AS flags
        FROM v_call_events
    )
    WHERE received_at >= {from:DateTime('UTC')} AND received_at < {to:DateTime('UTC')}
        AND ({vendor:String} = '' OR vendor = {vendor:String})
    GROUP BY vendor, kind
)
ARRAY JOIN arrayZip(counted.1, counted.2, examples.2) AS f
ORDER BY vendor, items DESC, kind, flag;
