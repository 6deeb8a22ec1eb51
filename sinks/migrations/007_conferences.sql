-- Conferences from their participants' records. A platform uses a conference's number again after a while, so a leg that
-- starts more than 6 hours after everybody left belongs to the next conference of that number.
CREATE OR REPLACE VIEW {{database}}.v_conferences {{on_cluster}} AS
WITH
    placed AS
    (
        SELECT
            vendor, account_id, conference_id, record_id, cost, currency, talk_ms, answer_at, end_at,
            coalesce(`legs.number`[1], to_number, from_number, toString(record_id)) AS participant,
            coalesce(answer_at, setup_at, end_at, toDateTime64(received_at, 6, 'UTC')) AS joined_at,
            greatest(joined_at, coalesce(end_at, joined_at)) AS left_at
        FROM {{database}}.cdr
        WHERE kind = 'conference_leg' AND conference_id != ''
    ),
    bounded AS
    (
        SELECT
            *,
            max(left_at) OVER (
                PARTITION BY vendor, account_id, conference_id ORDER BY joined_at, record_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS all_left_at,
            row_number() OVER (PARTITION BY vendor, account_id, conference_id ORDER BY joined_at, record_id) AS place
        FROM placed
    ),
    numbered AS
    (
        SELECT
            *,
            sum(place = 1 OR joined_at > all_left_at + INTERVAL 6 HOUR) OVER (
                PARTITION BY vendor, account_id, conference_id ORDER BY joined_at, record_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS session
        FROM bounded
    )
SELECT
    vendor,
    account_id,
    conference_id,
    session,
    min(joined_at) AS started_at,
    max(left_at) AS ended_at,
    uniqExact(participant) AS participants,
    count() AS legs,
    countIf(answer_at IS NOT NULL) AS answered_legs,
    sum(n.talk_ms) AS talk_ms,
    if(uniqExactIf(n.currency, n.cost IS NOT NULL) > 1, NULL, sum(n.cost)) AS cost,
    if(
        uniqExactIf(n.currency, n.cost IS NOT NULL) > 1, 'mixed', anyIf(toString(n.currency), n.cost IS NOT NULL)
    ) AS currency,
    toUInt64(maxIntersectionsIf(
        toUnixTimestamp64Micro(joined_at), toUnixTimestamp64Micro(left_at), answer_at IS NOT NULL AND left_at > joined_at
    )) AS peak_concurrency,
    toBool(participants < 2) AS is_incomplete
FROM numbered AS n
GROUP BY vendor, account_id, conference_id, session
COMMENT 'One row per conference: participants, times (UTC), cost, peak; a number used again after 6 quiet hours is a new session';

ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN session 'counts the uses of one conference number: 1, 2 ...';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN participants 'distinct numbers';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN cost 'sum(cost) of the legs; NULL: the vendor sent none, or currencies are mixed';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN peak_concurrency 'most answered legs at one instant';
ALTER TABLE {{database}}.v_conferences {{on_cluster}} COMMENT COLUMN is_incomplete 'fewer than two participants are known';
