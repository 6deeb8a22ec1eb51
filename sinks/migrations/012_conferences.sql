-- Conferences within one configured account, and what is in conflict beside the sums instead of in them. A leg without a
-- conference's number is a conference of its own call.
CREATE OR REPLACE VIEW {{database}}.v_conferences {{on_cluster}} AS
WITH
    placed AS
    (
        SELECT
            vendor, account, account_id, conference_id, if(conference_id = '', vendor_call_id, '') AS call_id,
            record_id, cost, currency, talk_ms, billable_s, answer_at, end_at,
            has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed,
            coalesce(`legs.number`[1], to_number, from_number, toString(record_id)) AS participant,
            coalesce(answer_at, setup_at, end_at, toDateTime64(received_at, 6, 'UTC')) AS joined_at,
            greatest(joined_at, coalesce(end_at, joined_at)) AS left_at
        FROM {{database}}.cdr
        WHERE kind = 'conference_leg'
    ),
    bounded AS
    (
        SELECT
            *,
            max(left_at) OVER (
                PARTITION BY vendor, account, account_id, conference_id, call_id ORDER BY joined_at, record_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS all_left_at,
            row_number() OVER (
                PARTITION BY vendor, account, account_id, conference_id, call_id ORDER BY joined_at, record_id
            ) AS place
        FROM placed
    ),
    numbered AS
    (
        SELECT
            *,
            sum(place = 1 OR joined_at > all_left_at + INTERVAL 6 HOUR) OVER (
                PARTITION BY vendor, account, account_id, conference_id, call_id ORDER BY joined_at, record_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS session
        FROM bounded
    )
SELECT
    vendor,
    account,
    account_id,
    conference_id,
    call_id,
    session,
    min(joined_at) AS started_at,
    max(left_at) AS ended_at,
    uniqExact(participant) AS participants,
    count() AS legs,
    countIf(answer_at IS NOT NULL) AS answered_legs,
    countIf(disputed) AS legs_in_conflict,
    sumIf(n.talk_ms, NOT disputed) AS talk_ms,
    sumIf(n.billable_s, NOT disputed) AS billed_s,
    sumIf(n.billable_s, disputed) AS billable_in_conflict_s,
    toBool(uniqExactIf(n.currency, n.cost IS NOT NULL) > 1) AS is_mixed,
    if(is_mixed, 'mixed', anyIf(toString(n.currency), n.cost IS NOT NULL)) AS currency,
    if(is_mixed, NULL, sumIf(n.cost, NOT disputed)) AS cost,
    if(is_mixed, NULL, sumIf(n.cost, disputed)) AS cost_in_conflict,
    toUInt64(maxIntersectionsIf(
        toUnixTimestamp64Micro(joined_at), toUnixTimestamp64Micro(left_at), answer_at IS NOT NULL AND left_at > joined_at
    )) AS peak_concurrency,
    toBool(participants < 2) AS is_incomplete
FROM numbered AS n
GROUP BY vendor, account, account_id, conference_id, call_id, session
COMMENT 'One row per conference: participants, times (UTC), cost, peak; a number used again after 6 quiet hours is a new session';

ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN account 'the configured account whose address let its legs in';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN call_id 'of legs without a conference''s number: their call, which is then the conference';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN session 'counts the uses of one conference number: 1, 2 ...';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN participants 'distinct numbers';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN legs_in_conflict 'legs whose final contents contradict each other (v_conflicts): their amounts are in no sum';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN talk_ms 'sum over the legs that are not in conflict';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN billed_s 'sum(billable_s) of the legs that are not in conflict; NULL: not known of any';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN billable_in_conflict_s 'sum(billable_s) of the legs in conflict, as their shown contents say';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN is_mixed 'the legs'' costs are in more than one currency: then there is no total';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN cost 'sum(cost) of the legs that are not in conflict; NULL: the vendor sent none, or currencies are mixed';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN cost_in_conflict 'sum(cost) of the legs in conflict, as their shown contents say';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN peak_concurrency 'most answered legs at one instant';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN is_incomplete 'fewer than two participants are known';
