-- The other parties on shards: each row is made on the shard of its call, by the prefixes that every server has, so that people need no
-- right on what is behind the views (layouts.py). In both views a client's setting of join_use_nulls, which some tools have, is none.
CREATE OR REPLACE VIEW {{database}}.v_other_parties {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    c.slot_at AS slot_at, c.started_at AS started_at, c.timeline_id AS timeline_id, c.call_key AS call_key, c.vendor AS vendor,
    c.account AS account, c.account_id AS account_id, c.vendor_call_id AS vendor_call_id, c.call_type AS call_type,
    c.direction AS direction, c.other_number AS other_number, c.other_token AS other_token, c.other_masked AS other_masked,
    toBool(arrayExists(one -> one != p.country, m.countries)) AS is_ambiguous,
    if(is_ambiguous, '', p.country)::LowCardinality(String) AS country, c.longest AS prefix,
    if(is_ambiguous, '', p.name) AS prefix_name, p.kind AS prefix_kind,
    c.disposition AS disposition, c.pdd_ms AS pdd_ms, c.ring_ms AS ring_ms, c.talk_ms AS talk_ms,
    c.billable_s AS billable_s, c.cost AS cost, c.currency AS currency,
    c.is_final AS is_final, c.in_conflict AS in_conflict, c.agent_id AS agent_id, c.custom_ref AS custom_ref
FROM
(
    SELECT
        *,
        call_key,
        timeline_id,
        direction = 'inbound' AS is_from,
        if(is_from, from_number, to_number) AS other_number,
        if(is_from, from_token, to_token) AS other_token,
        if(is_from, from_masked, to_masked) AS other_masked,
        toBool(has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved')) AS in_conflict,
        arrayFirst(
            known -> known IN (SELECT prefix FROM {{database}}.v_prefixes),
            arrayMap(length -> substring(ifNull(other_number, other_masked), 1, length), range(16, 1, -1))
        ) AS longest,
        if(other_number IS NULL, splitByChar('*', other_masked)[1], '') AS head
    FROM {{database}}.timelines_by_slot FINAL
) AS c
LEFT JOIN {{database}}.v_prefixes AS p ON p.prefix = c.longest
LEFT JOIN
(
    SELECT head, groupUniqArray(country) AS countries
    FROM {{database}}.v_prefixes
    ARRAY JOIN arrayMap(length -> substring(prefix, 1, length), range(1, least(length(prefix), 8))) AS head
    GROUP BY head
) AS m ON m.head = c.head
SETTINGS do_not_merge_across_partitions_select_final = 1, join_use_nulls = 0
COMMENT 'One row per call, newest version: country and prefix of the party that is not the customer, and what the call cost. Times are UTC';

CREATE OR REPLACE VIEW {{database}}.masked_other_parties {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    c.slot_at AS slot_at, c.started_at AS started_at, c.timeline_id AS timeline_id, c.call_key AS call_key, c.vendor AS vendor,
    c.account AS account, c.account_id AS account_id, c.vendor_call_id AS vendor_call_id, c.call_type AS call_type,
    c.direction AS direction, c.other_token AS other_token, c.other_masked AS other_masked,
    toBool(arrayExists(one -> one != p.country, m.countries)) AS is_ambiguous,
    if(is_ambiguous, '', p.country)::LowCardinality(String) AS country, c.longest AS prefix,
    if(is_ambiguous, '', p.name) AS prefix_name, p.kind AS prefix_kind,
    c.disposition AS disposition, c.pdd_ms AS pdd_ms, c.ring_ms AS ring_ms, c.talk_ms AS talk_ms,
    c.billable_s AS billable_s, c.cost AS cost, c.currency AS currency,
    c.is_final AS is_final, c.in_conflict AS in_conflict, c.agent_id AS agent_id, c.custom_ref AS custom_ref
FROM
(
    SELECT
        *,
        call_key,
        timeline_id,
        direction = 'inbound' AS is_from,
        if(is_from, from_number, to_number) AS other_number,
        if(is_from, from_token, to_token) AS other_token,
        if(is_from, from_masked, to_masked) AS other_masked,
        toBool(has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved')) AS in_conflict,
        arrayFirst(
            known -> known IN (SELECT prefix FROM {{database}}.v_prefixes),
            arrayMap(length -> substring(other_masked, 1, length), range(16, 1, -1))
        ) AS longest,
        splitByChar('*', other_masked)[1] AS head
    FROM {{database}}.timelines_by_slot FINAL
) AS c
LEFT JOIN {{database}}.v_prefixes AS p ON p.prefix = c.longest
LEFT JOIN
(
    SELECT head, groupUniqArray(country) AS countries
    FROM {{database}}.v_prefixes
    ARRAY JOIN arrayMap(length -> substring(prefix, 1, length), range(1, least(length(prefix), 8))) AS head
    GROUP BY head
) AS m ON m.head = c.head
SETTINGS do_not_merge_across_partitions_select_final = 1, join_use_nulls = 0
COMMENT 'One row per call, newest version: country of the party that is not the customer, and the prefix as far as the masked form shows it; no phone number';

-- each: view=v_other_parties view=masked_other_parties
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN slot_at 'the hour (UTC) of the first instant that was known of the call, by which its rows are stored: within a day of the call for any plausible one. A query of years is faster with bounds on slot_at, a day wider than those on the time that is meant',
    COMMENT COLUMN started_at 'start of the call (UTC): the earliest instant of the call or of any of its legs, else the first receipt; never NULL. A query bounded by it reads only that time',
    COMMENT COLUMN timeline_id 'the call, whatever becomes known of it',
    COMMENT COLUMN call_key 'vendor|account|call id: equal for all that is known of a call',
    COMMENT COLUMN vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN vendor_call_id 'the vendor''s id of the call',
    COMMENT COLUMN call_type 'call, conference or voice_code: only calls stand in v_kpi_*',
    COMMENT COLUMN direction 'seen from the customer: inbound, outbound, callback (the platform called both), conference or unknown',
    COMMENT COLUMN other_token 'stands for the number of the other party in joins, as from_token',
    COMMENT COLUMN other_masked 'number of the other party for display, at least four digits hidden',
    COMMENT COLUMN is_ambiguous 'only the masked form is known here, and its digits begin numbers of several countries',
    COMMENT COLUMN country 'country of the other party: ISO 3166-1 alpha-2 code of the prefix; empty: no number in E.164, or one of no country; also where only the masked form is known, and its digits begin numbers of several',
    COMMENT COLUMN prefix_name 'name of the prefix in v_prefixes',
    COMMENT COLUMN prefix_kind 'kind of the prefix in v_prefixes, as mobile, premium or satellite; empty: not known',
    COMMENT COLUMN disposition 'outcome: answered, no_answer, busy, rejected, cancelled, unreachable, invalid_number, barred, congestion, failed, in_progress or unknown',
    COMMENT COLUMN pdd_ms 'post-dial delay in ms: alerting - setup; NULL: not known',
    COMMENT COLUMN ring_ms 'ringing in ms: (answer or end) - alerting; NULL: not known',
    COMMENT COLUMN talk_ms 'talk in ms: end - answer; NULL: not known',
    COMMENT COLUMN billable_s 'the vendor''s billed seconds where its document says they are billed; else the talk; 0 when nobody answered and the vendor names none; NULL when not known',
    COMMENT COLUMN cost 'what the vendor charges, in currency; NULL: the vendor sends none; 0: free',
    COMMENT COLUMN currency 'ISO 4217 code of the cost; empty without one',
    COMMENT COLUMN is_final 'whether all is known: the vendor reported the end',
    COMMENT COLUMN in_conflict 'flagged conflict_final and not yet resolved (v_conflicts): the amounts are those of the shown content, and belong in no sum',
    COMMENT COLUMN agent_id 'id of the customer''s agent, as the vendor has it',
    COMMENT COLUMN custom_ref 'the customer''s own reference, as the vendor gives it back';

-- each: view=v_other_parties
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN other_number 'number of the other party: the caller of an inbound call, else the called party; E.164 where it begins with +',
    COMMENT COLUMN prefix 'the longest prefix in v_prefixes that the number begins with; of a number that is gone, that its masked form begins with; empty: none';

-- each: view=masked_other_parties
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN prefix 'the longest prefix in v_prefixes that the masked form begins with; empty: none';

-- Numbers with hidden digits are alike for many people, and so no pair.
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
            AND from_kind NOT IN ('masked', 'anonymous') AND to_kind NOT IN ('masked', 'anonymous')
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
COMMENT 'First attempts and redials by day (UTC), which slot_at begins: v_kpi_redials(from = ''2026-03-01 00:00:00'', to = ''2026-03-02 00:00:00''). attempts_with_pair: attempts (is_final, call_type call) with both numbers in full; redials: those within an hour after an attempt between the same two numbers, in the same direction, of the same account_id; first_attempts: all others; redials_answered: redials with disposition answered. first_attempt_success = first_attempts_answered / first_attempts, redial_ratio = redials / attempts_with_pair';

-- One gap is no usual gap: two facts of one call, a second apart, made a vendor silent a minute later, and for a month.
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
    HAVING length(gaps) > 1
)
GROUP BY vendor, account
HAVING silent_s >= greatest(10 * median_gap_s, 60)
COMMENT 'Vendors, by account, of which nothing came for ten times their median gap, and for a minute at least. Gaps are between the seconds of the last 30 days in which something came; who was heard of in fewer than three seconds, or not for 30 days, has no usual gap and is not here';

-- each: view=v_silent_vendors
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN last_received_at 'when its last record or state event came (UTC)',
    COMMENT COLUMN median_gap_s 'median time in s between two seconds of the last 30 days in which something came',
    COMMENT COLUMN silent_s 'time in s since the last one',
    COMMENT COLUMN silent_gaps 'silent_s / median_gap_s: 10 at the least';
