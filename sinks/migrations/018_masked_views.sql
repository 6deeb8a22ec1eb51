-- Views for people who need no clear number. They name each column that they show, so that a later one is not shown by accident.
-- Left out besides numbers, numbers as sent, addresses, extras and names of people: `record_id`, `raw_sha256` and `leg`. The first two
-- are plain hashes; where a number is a part of what they hash, its few hidden digits could be tried one after the other.
CREATE OR REPLACE VIEW {{database}}.masked_cdr {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, vendor_call_id, session_id,
    conference_id, binding_id, direction,
    from_token, from_masked, from_kind, to_token, to_masked, to_kind,
    display_token, display_masked, display_kind, privacy_token, privacy_masked, privacy_kind,
    setup_at, alerting_at, answer_at, end_at, time_precision,
    `legs.role`, `legs.number_token`, `legs.number_masked`, `legs.number_kind`, `legs.setup_at`, `legs.alerting_at`,
    `legs.answer_at`, `legs.end_at`, `legs.disposition`, `legs.hangup_reason`, `legs.q850`, `legs.sip_code`,
    pdd_ms, ring_ms, talk_ms, vendor_duration_s, billable_s, billable_source,
    disposition, hangup_cause, q850, sip_code, hangup_reason, cause_confidence, hangup_party,
    cost, currency, cost_source, recording_state, toBool(recording_url != '') AS has_recording, recording_expires_at,
    custom_ref, agent_id, binding_state, bound_at, unbound_at, revised_at, is_final, quality_flags,
    received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, ingested_at
FROM {{database}}.cdr
COMMENT 'Call records, newest version each, with tokens and masked forms in place of phone numbers';

CREATE OR REPLACE VIEW {{database}}.masked_timelines {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    timeline_id, call_key, vendor, kind, call_type, account, account_id, vendor_call_id, conference_id, binding_id, direction,
    from_token, from_masked, from_kind, to_token, to_masked, to_kind,
    display_token, display_masked, privacy_token, privacy_masked,
    coalesce(
        t.started_at, setup_at, alerting_at, answer_at, end_at, toDateTime64(first_received_at, 6, 'UTC')
    ) AS started_at,
    setup_at, alerting_at, answer_at, end_at,
    `legs.role`, `legs.number_token`, `legs.number_masked`, `legs.number_kind`, `legs.setup_at`, `legs.alerting_at`,
    `legs.answer_at`, `legs.end_at`, `legs.disposition`, `legs.hangup_reason`, `legs.q850`, `legs.sip_code`,
    pdd_ms, ring_ms, talk_ms, vendor_duration_s, billable_s, billable_source,
    disposition, hangup_cause, q850, sip_code, hangup_reason, cause_confidence, hangup_party,
    cost, currency, recording_state, toBool(recording_url != '') AS has_recording,
    custom_ref, agent_id, is_final, has_record, has_states, phase, fact_count, quality_flags,
    first_received_at, last_received_at, version, schema_version, ingested_at
FROM {{database}}.timelines AS t
COMMENT 'One row per call, newest version, with tokens and masked forms in place of phone numbers';

CREATE OR REPLACE VIEW {{database}}.masked_call_events {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, vendor_call_id, session_id,
    direction, leg_token, leg_masked, state, event_at, time_precision,
    from_token, from_masked, from_kind, to_token, to_masked, to_kind, display_token, display_masked, display_kind,
    hangup_cause, q850, sip_code, hangup_reason, custom_ref, quality_flags,
    received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, ingested_at
FROM {{database}}.call_events
COMMENT 'State events of legs, newest version each, with tokens and masked forms in place of phone numbers';

CREATE OR REPLACE VIEW {{database}}.masked_binding_rows {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, binding_id, binding_state,
    direction, from_token, from_masked, from_kind, to_token, to_masked, to_kind,
    display_token, display_masked, display_kind, privacy_token, privacy_masked, privacy_kind,
    bound_at, unbound_at, revised_at, time_precision, custom_ref, quality_flags,
    received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, ingested_at
FROM {{database}}.bindings
COMMENT 'Binding snapshots, each once, with tokens and masked forms in place of phone numbers; the newest of each binding: masked_bindings';

-- The same choice as in v_bindings; rows that are alike in all of its clocks follow in the order of their places on the topic.
CREATE OR REPLACE VIEW {{database}}.masked_bindings {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT *
FROM
(
    SELECT
        call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, binding_id, binding_state,
        direction, from_token, from_masked, from_kind, to_token, to_masked, to_kind,
        display_token, display_masked, display_kind, privacy_token, privacy_masked, privacy_kind,
        bound_at, unbound_at, revised_at, time_precision, custom_ref, quality_flags,
        received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, ingested_at
    FROM {{database}}.masked_binding_rows
    UNION ALL
    SELECT
        call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, binding_id, binding_state,
        direction, if(binding_state = '', '', `legs.number_token`[1]) AS from_token,
        if(binding_state = '', '', `legs.number_masked`[1]) AS from_masked,
        if(binding_state = '', '', `legs.number_kind`[1])::LowCardinality(String) AS from_kind,
        '' AS to_token, '' AS to_masked, ''::LowCardinality(String) AS to_kind,
        display_token, display_masked, display_kind, privacy_token, privacy_masked, privacy_kind,
        bound_at, unbound_at, revised_at, time_precision, custom_ref, quality_flags,
        received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, ingested_at
    FROM {{database}}.masked_cdr
    WHERE kind = 'privacy_ax' AND binding_id != ''
)
ORDER BY
    binding_state = '', revised_at DESC NULLS LAST, unbound_at DESC NULLS LAST, version DESC, received_at DESC,
    raw_topic DESC, raw_partition DESC, raw_offset DESC, raw_element DESC
LIMIT 1 BY
    vendor, account, account_id, binding_id,
    if(binding_id = '', (raw_topic, raw_partition, raw_offset, raw_element), ('', 0::Int32, 0::Int64, 0::Int32))
COMMENT 'One row per number binding and account, as v_bindings, with tokens and masked forms in place of phone numbers';
