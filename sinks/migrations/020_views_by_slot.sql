-- The views on the tables of 019, which by now have all rows of those of before. `started_at` is a stored column and `slot_at` stands
-- beside it, so that a filter by either reads the rows of that time and no others. Each reads its table itself: planning a query of all
-- columns costs about 20 ms more with each view that a view reads, as much as reading the call.

CREATE OR REPLACE VIEW {{database}}.cdr {{on_cluster}} AS
SELECT
    * EXCEPT (
        key_account, key_other, `legs.party`, `legs.own_number`, `legs.own_token`, `legs.own_masked`,
        `legs.setup_us`, `legs.alerting_us`, `legs.answer_us`, `legs.end_us`
    ),
    call_key,
    `legs.number`, `legs.number_token`, `legs.number_masked`, `legs.setup_at`, `legs.alerting_at`, `legs.answer_at`, `legs.end_at`
FROM {{database}}.cdr_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Call records, newest version each, every column. Restricted: numbers as sent and recording addresses';

CREATE OR REPLACE VIEW {{database}}.call_events {{on_cluster}} AS
SELECT * EXCEPT (key_account, key_other), call_key
FROM {{database}}.call_events_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'State events, newest version each, every column';

CREATE OR REPLACE VIEW {{database}}.timelines {{on_cluster}} AS
SELECT
    * EXCEPT (
        key_account, key_other, key_suffix, `legs.party`, `legs.own_number`, `legs.own_token`, `legs.own_masked`,
        `legs.setup_us`, `legs.alerting_us`, `legs.answer_us`, `legs.end_us`
    ),
    call_key,
    timeline_id,
    row_hash,
    `legs.number`, `legs.number_token`, `legs.number_masked`, `legs.setup_at`, `legs.alerting_at`, `legs.answer_at`, `legs.end_at`
FROM {{database}}.timelines_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Calls, newest version each, every column. Restricted: numbers as sent and recording addresses';

CREATE OR REPLACE VIEW {{database}}.bindings {{on_cluster}} AS
SELECT * FROM {{database}}.bindings_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Binding snapshots, each once, every column. Restricted: numbers as sent';

CREATE OR REPLACE VIEW {{database}}.v_cdr {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    * EXCEPT (
        key_account, key_other, `legs.party`, `legs.own_number`, `legs.own_token`, `legs.own_masked`,
        `legs.setup_us`, `legs.alerting_us`, `legs.answer_us`, `legs.end_us`,
        from_raw, to_raw, display_raw, privacy_raw, `legs.number_raw`, recording_url,
        `contents.digest`, `contents.is_shown`, `contents.is_final`, `contents.received_at`, `contents.source`,
        `contents.raw_topic`, `contents.raw_partition`, `contents.raw_offset`, `contents.raw_element`,
        `contents.disposition`, `contents.setup_at`, `contents.answer_at`, `contents.end_at`, `contents.talk_ms`,
        `contents.vendor_duration_s`, `contents.billable_s`, `contents.cost`, `contents.currency`,
        `contents.from_number`, `contents.to_number`, `contents.hangup_cause`, `contents.q850`, `contents.sip_code`,
        `contents.hangup_reason`, `contents.hangup_party`,
        `contents.from_token`, `contents.from_masked`, `contents.to_token`, `contents.to_masked`
    ),
    call_key,
    `legs.number`, `legs.number_token`, `legs.number_masked`, `legs.setup_at`, `legs.alerting_at`, `legs.answer_at`, `legs.end_at`,
    toBool(recording_url != '') AS has_recording
FROM {{database}}.cdr_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Call records, newest version each. Times are UTC; NULL is not known, 0 is zero. Contradicting contents: v_conflicts';

CREATE OR REPLACE VIEW {{database}}.v_call_events {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT * EXCEPT (key_account, key_other, from_raw, to_raw, display_raw), call_key
FROM {{database}}.call_events_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'State events of legs: setup, alerting, answer, release. Times are UTC';

CREATE OR REPLACE VIEW {{database}}.v_timelines {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    * EXCEPT (
        key_account, key_other, key_suffix, `legs.party`, `legs.own_number`, `legs.own_token`, `legs.own_masked`,
        `legs.setup_us`, `legs.alerting_us`, `legs.answer_us`, `legs.end_us`, `legs.number_raw`, recording_url
    ),
    call_key,
    timeline_id,
    `legs.number`, `legs.number_token`, `legs.number_masked`, `legs.setup_at`, `legs.alerting_at`, `legs.answer_at`, `legs.end_at`,
    toBool(recording_url != '') AS has_recording
FROM {{database}}.timelines_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row per call, newest version. Times are UTC; NULL is not known, 0 is zero; started_at is never NULL: the earliest instant of the call or of any leg, else the first receipt';

CREATE OR REPLACE VIEW {{database}}.masked_cdr {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    slot_at,
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
FROM {{database}}.cdr_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Call records, newest version each, with tokens and masked forms in place of phone numbers';

CREATE OR REPLACE VIEW {{database}}.masked_timelines {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    slot_at,
    timeline_id, call_key, vendor, kind, call_type, account, account_id, vendor_call_id, conference_id, binding_id, direction,
    from_token, from_masked, from_kind, to_token, to_masked, to_kind,
    display_token, display_masked, privacy_token, privacy_masked,
    started_at,
    setup_at, alerting_at, answer_at, end_at,
    `legs.role`, `legs.number_token`, `legs.number_masked`, `legs.number_kind`, `legs.setup_at`, `legs.alerting_at`,
    `legs.answer_at`, `legs.end_at`, `legs.disposition`, `legs.hangup_reason`, `legs.q850`, `legs.sip_code`,
    pdd_ms, ring_ms, talk_ms, vendor_duration_s, billable_s, billable_source,
    disposition, hangup_cause, q850, sip_code, hangup_reason, cause_confidence, hangup_party,
    cost, currency, recording_state, toBool(recording_url != '') AS has_recording,
    custom_ref, agent_id, is_final, has_record, has_states, phase, fact_count, quality_flags,
    first_received_at, last_received_at, version, schema_version, ingested_at
FROM {{database}}.timelines_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row per call, newest version, with tokens and masked forms in place of phone numbers';

CREATE OR REPLACE VIEW {{database}}.masked_call_events {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    slot_at,
    call_key, vendor, kind, adapter_version, schema_version, version, account, account_id, vendor_call_id, session_id,
    direction, leg_token, leg_masked, state, event_at, time_precision,
    from_token, from_masked, from_kind, to_token, to_masked, to_kind, display_token, display_masked, display_kind,
    hangup_cause, q850, sip_code, hangup_reason, custom_ref, quality_flags,
    received_at, source, request_id, raw_topic, raw_partition, raw_offset, raw_element, ingested_at
FROM {{database}}.call_events_by_slot FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'State events of legs, newest version each, with tokens and masked forms in place of phone numbers';

-- each: view=cdr view=v_cdr view=timelines view=v_timelines
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN billable_s 'the vendor''s billed seconds where its document says they are billed; else the talk; 0 when nobody answered and the vendor names none; NULL when not known';

-- each: view=v_cdr view=v_call_events view=v_timelines view=masked_cdr view=masked_call_events view=masked_timelines
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN slot_at 'the hour (UTC) of the first instant that was known of the call, by which its rows are stored: within a day of the call for any plausible one. A query of years is faster with bounds on slot_at, a day wider than those on the time that is meant';
