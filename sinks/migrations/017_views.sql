-- The views with the columns of 016. A conference counts its participants by token where there is one, so that it counts the same
-- after the clear numbers are gone (`privacy.clear_number_days`).

CREATE OR REPLACE VIEW {{database}}.cdr {{on_cluster}} AS
SELECT * FROM {{database}}.cdr_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Call records, newest version each, every column. Restricted: numbers as sent and recording addresses';

CREATE OR REPLACE VIEW {{database}}.call_events {{on_cluster}} AS
SELECT * FROM {{database}}.call_events_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'State events, newest version each, every column';

CREATE OR REPLACE VIEW {{database}}.timelines {{on_cluster}} AS
SELECT * FROM {{database}}.timelines_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Calls, newest version each, every column. Restricted: numbers as sent and recording addresses';

CREATE OR REPLACE VIEW {{database}}.bindings {{on_cluster}} AS
SELECT * FROM {{database}}.bindings_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Binding snapshots, each once, every column. Restricted: numbers as sent';

CREATE OR REPLACE VIEW {{database}}.v_cdr {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    * EXCEPT (
        from_raw, to_raw, display_raw, privacy_raw, `legs.number_raw`, recording_url,
        `contents.digest`, `contents.is_shown`, `contents.is_final`, `contents.received_at`, `contents.source`,
        `contents.raw_topic`, `contents.raw_partition`, `contents.raw_offset`, `contents.raw_element`,
        `contents.disposition`, `contents.setup_at`, `contents.answer_at`, `contents.end_at`, `contents.talk_ms`,
        `contents.vendor_duration_s`, `contents.billable_s`, `contents.cost`, `contents.currency`,
        `contents.from_number`, `contents.to_number`, `contents.hangup_cause`, `contents.q850`, `contents.sip_code`,
        `contents.hangup_reason`, `contents.hangup_party`,
        `contents.from_token`, `contents.from_masked`, `contents.to_token`, `contents.to_masked`
    ),
    toBool(recording_url != '') AS has_recording
FROM {{database}}.cdr
COMMENT 'Call records, newest version each. Times are UTC; NULL is not known, 0 is zero. Contradicting contents: v_conflicts';

CREATE OR REPLACE VIEW {{database}}.v_call_events {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT * EXCEPT (from_raw, to_raw, display_raw) FROM {{database}}.call_events
COMMENT 'State events of legs: setup, alerting, answer, release. Times are UTC';

CREATE OR REPLACE VIEW {{database}}.v_timelines {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    * EXCEPT (`legs.number_raw`, recording_url, started_at),
    toBool(recording_url != '') AS has_recording,
    coalesce(
        t.started_at, setup_at, alerting_at, answer_at, end_at, toDateTime64(first_received_at, 6, 'UTC')
    ) AS started_at
FROM {{database}}.timelines AS t
COMMENT 'One row per call, newest version. Times are UTC; NULL is not known, 0 is zero; started_at is never NULL: the earliest instant of the call or of any leg, else the first receipt';

CREATE OR REPLACE VIEW {{database}}.v_conflicts {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    record_id, call_key, vendor, kind, account, account_id, vendor_call_id,
    c.digest AS digest,
    c.is_shown AS is_shown,
    c.is_final AS is_final,
    toBool(has(quality_flags, 'conflict_resolved')) AS is_resolved,
    c.received_at AS received_at,
    c.source AS source,
    c.disposition AS disposition,
    c.setup_at AS setup_at,
    c.answer_at AS answer_at,
    c.end_at AS end_at,
    c.talk_ms AS talk_ms,
    c.vendor_duration_s AS vendor_duration_s,
    c.billable_s AS billable_s,
    c.cost AS cost,
    c.currency AS currency,
    c.from_number AS from_number,
    c.to_number AS to_number,
    c.hangup_cause AS hangup_cause,
    c.q850 AS q850,
    c.sip_code AS sip_code,
    c.hangup_reason AS hangup_reason,
    c.hangup_party AS hangup_party,
    c.raw_topic AS raw_topic,
    c.raw_partition AS raw_partition,
    c.raw_offset AS raw_offset,
    c.raw_element AS raw_element,
    c.from_token AS from_token,
    c.from_masked AS from_masked,
    c.to_token AS to_token,
    c.to_masked AS to_masked
FROM {{database}}.cdr
ARRAY JOIN contents AS c
COMMENT 'One row per content of a record whose contents contradict each other; callweave conflicts resolve RECORD_ID --keep DIGEST settles one';

ALTER TABLE {{database}}.v_conflicts {{on_cluster}}
    COMMENT COLUMN digest 'hash of what the content says: its name within the record',
    COMMENT COLUMN is_shown 'whether v_cdr and v_timelines show this content',
    COMMENT COLUMN is_resolved 'whether somebody decided which content counts',
    COMMENT COLUMN received_at 'when this content was received, not the record''s first one',
    COMMENT COLUMN raw_topic 'with raw_partition, raw_offset and raw_element: where its body stands';

-- A call row of a binding says what the binding was when the row was written, so it moves the binding's state by the same clock.
-- Rows that name no state (the platform's own bills) only make a binding known.
CREATE OR REPLACE VIEW {{database}}.v_bindings {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT *
FROM
(
    SELECT
        record_id, call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, binding_id,
        binding_state, direction, from_number, from_kind, to_number, to_kind, display_number, display_kind,
        privacy_number, privacy_kind, bound_at, unbound_at, revised_at, time_precision, custom_ref, extras,
        quality_flags, received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, raw_sha256,
        ingested_at,
        from_token, from_masked, to_token, to_masked, display_token, display_masked, privacy_token, privacy_masked
    FROM {{database}}.bindings
    UNION ALL
    SELECT
        record_id, call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, binding_id,
        binding_state, direction, if(binding_state = '', NULL, `legs.number`[1]) AS from_number,
        if(binding_state = '', '', `legs.number_kind`[1])::LowCardinality(String) AS from_kind,
        NULL::Nullable(String) AS to_number, ''::LowCardinality(String) AS to_kind, display_number, display_kind,
        privacy_number, privacy_kind, bound_at, unbound_at, revised_at, time_precision, custom_ref, extras,
        quality_flags, received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, raw_sha256,
        ingested_at,
        if(binding_state = '', '', `legs.number_token`[1]) AS from_token,
        if(binding_state = '', '', `legs.number_masked`[1]) AS from_masked,
        '' AS to_token, '' AS to_masked, display_token, display_masked, privacy_token, privacy_masked
    FROM {{database}}.cdr
    WHERE kind = 'privacy_ax' AND binding_id != ''
)
ORDER BY
    binding_state = '', revised_at DESC NULLS LAST, unbound_at DESC NULLS LAST, version DESC, received_at DESC, record_id DESC
LIMIT 1 BY vendor, account, account_id, if(binding_id = '', toString(record_id), binding_id)
COMMENT 'One row per number binding and account: what its newest snapshot or call row says, by the vendor''s own update clock';

CREATE OR REPLACE VIEW {{database}}.v_conferences {{on_cluster}}
SQL SECURITY DEFINER AS
WITH
    placed AS
    (
        SELECT
            vendor, account, account_id, conference_id, if(conference_id = '', vendor_call_id, '') AS call_id,
            record_id, cost, currency, talk_ms, billable_s, answer_at, end_at,
            has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed,
            coalesce(
                nullIf(`legs.number_token`[1], ''), `legs.number`[1], nullIf(to_token, ''), to_number,
                nullIf(from_token, ''), from_number, toString(record_id)
            ) AS participant,
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

ALTER TABLE {{database}}.v_conferences {{on_cluster}}
    COMMENT COLUMN account 'the configured account whose address let its legs in',
    COMMENT COLUMN call_id 'of legs without a conference''s number: their call, which is then the conference',
    COMMENT COLUMN session 'counts the uses of one conference number: 1, 2 ...',
    COMMENT COLUMN participants 'distinct numbers',
    COMMENT COLUMN legs_in_conflict 'legs whose final contents contradict each other (v_conflicts): their amounts are in no sum',
    COMMENT COLUMN talk_ms 'sum over the legs that are not in conflict',
    COMMENT COLUMN billed_s 'sum(billable_s) of the legs that are not in conflict; NULL: not known of any',
    COMMENT COLUMN billable_in_conflict_s 'sum(billable_s) of the legs in conflict, as their shown contents say',
    COMMENT COLUMN is_mixed 'the legs'' costs are in more than one currency: then there is no total',
    COMMENT COLUMN cost 'sum(cost) of the legs that are not in conflict; NULL: the vendor sent none, or currencies are mixed',
    COMMENT COLUMN cost_in_conflict 'sum(cost) of the legs in conflict, as their shown contents say',
    COMMENT COLUMN peak_concurrency 'most answered legs at one instant',
    COMMENT COLUMN is_incomplete 'fewer than two participants are known';

-- each: view=cdr view=v_cdr view=timelines view=v_timelines
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN billable_s 'the vendor''s billed seconds where its document says they are billed; else the talk; 0 when nobody answered and the vendor names none; NULL when not known';
