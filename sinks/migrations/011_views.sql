-- The views with the columns of 009 and 010. What groups or chooses does so within one configured account (`account`), so that
-- nothing that came by one address hides or changes a row that came by another.
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

CREATE OR REPLACE VIEW {{database}}.dead_letters {{on_cluster}} AS
SELECT * FROM {{database}}.dead_letters_versions FINAL
COMMENT 'Dead letters with their original bytes. Restricted';

CREATE OR REPLACE VIEW {{database}}.v_cdr {{on_cluster}} AS
SELECT
    * EXCEPT (
        from_raw, to_raw, display_raw, privacy_raw, `legs.number_raw`, recording_url,
        `contents.digest`, `contents.is_shown`, `contents.is_final`, `contents.received_at`, `contents.source`,
        `contents.raw_topic`, `contents.raw_partition`, `contents.raw_offset`, `contents.raw_element`,
        `contents.disposition`, `contents.setup_at`, `contents.answer_at`, `contents.end_at`, `contents.talk_ms`,
        `contents.vendor_duration_s`, `contents.billable_s`, `contents.cost`, `contents.currency`,
        `contents.from_number`, `contents.to_number`, `contents.hangup_cause`, `contents.q850`, `contents.sip_code`,
        `contents.hangup_reason`, `contents.hangup_party`
    ),
    toBool(recording_url != '') AS has_recording
FROM {{database}}.cdr
COMMENT 'Call records, newest version each. Times are UTC; NULL is not known, 0 is zero. Contradicting contents: v_conflicts';

CREATE OR REPLACE VIEW {{database}}.v_call_events {{on_cluster}} AS
SELECT * EXCEPT (from_raw, to_raw, display_raw) FROM {{database}}.call_events
COMMENT 'State events of legs: setup, alerting, answer, release. Times are UTC';

CREATE OR REPLACE VIEW {{database}}.v_timelines {{on_cluster}} AS
SELECT
    * EXCEPT (`legs.number_raw`, recording_url, started_at),
    toBool(recording_url != '') AS has_recording,
    coalesce(
        t.started_at, setup_at, alerting_at, answer_at, end_at, toDateTime64(first_received_at, 6, 'UTC')
    ) AS started_at
FROM {{database}}.timelines AS t
COMMENT 'One row per call, newest version. Times are UTC; NULL is not known, 0 is zero; started_at is never NULL: the earliest instant of the call or of any leg, else the first receipt';

CREATE OR REPLACE VIEW {{database}}.v_dead_letters {{on_cluster}} AS
SELECT * EXCEPT (original, headers), length(original) AS original_bytes FROM {{database}}.dead_letters
COMMENT 'Dead letters without the bytes';

CREATE OR REPLACE VIEW {{database}}.v_conflicts {{on_cluster}} AS
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
    c.raw_element AS raw_element
FROM {{database}}.cdr
ARRAY JOIN contents AS c
COMMENT 'One row per content of a record whose contents contradict each other; callweave conflicts resolve RECORD_ID --keep DIGEST settles one';

ALTER TABLE {{database}}.v_conflicts {{on_cluster}} COMMENT COLUMN digest 'hash of what the content says: its name within the record';
ALTER TABLE {{database}}.v_conflicts {{on_cluster}} COMMENT COLUMN is_shown 'whether v_cdr and v_timelines show this content';
ALTER TABLE {{database}}.v_conflicts {{on_cluster}} COMMENT COLUMN is_resolved 'whether somebody decided which content counts';
ALTER TABLE {{database}}.v_conflicts {{on_cluster}} COMMENT COLUMN received_at 'when this content was received, not the record''s first one';
ALTER TABLE {{database}}.v_conflicts {{on_cluster}} COMMENT COLUMN raw_topic 'with raw_partition, raw_offset and raw_element: where its body stands';

-- A call row of a binding says what the binding was when the row was written, so it moves the binding's state by the same clock.
-- Rows that name no state (the platform's own bills) only make a binding known.
CREATE OR REPLACE VIEW {{database}}.v_bindings {{on_cluster}} AS
SELECT *
FROM
(
    SELECT
        record_id, call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, binding_id,
        binding_state, direction, from_number, from_kind, to_number, to_kind, display_number, display_kind,
        privacy_number, privacy_kind, bound_at, unbound_at, revised_at, time_precision, custom_ref, extras,
        quality_flags, received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, raw_sha256,
        ingested_at
    FROM {{database}}.bindings
    UNION ALL
    SELECT
        record_id, call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, binding_id,
        binding_state, direction, if(binding_state = '', NULL, `legs.number`[1]) AS from_number,
        if(binding_state = '', '', `legs.number_kind`[1])::LowCardinality(String) AS from_kind,
        NULL::Nullable(String) AS to_number, ''::LowCardinality(String) AS to_kind, display_number, display_kind,
        privacy_number, privacy_kind, bound_at, unbound_at, revised_at, time_precision, custom_ref, extras,
        quality_flags, received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, raw_sha256,
        ingested_at
    FROM {{database}}.cdr
    WHERE kind = 'privacy_ax' AND binding_id != ''
)
ORDER BY
    binding_state = '', revised_at DESC NULLS LAST, unbound_at DESC NULLS LAST, version DESC, received_at DESC, record_id DESC
LIMIT 1 BY vendor, account, account_id, if(binding_id = '', toString(record_id), binding_id)
COMMENT 'One row per number binding and account: what its newest snapshot or call row says, by the vendor''s own update clock';
