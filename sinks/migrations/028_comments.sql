-- Every column of every table and view says what it is. One word has one meaning wherever it stands, so the columns of calls are said
-- once for all tables and views that have them; what differs in one of them follows.
-- each: view=cdr_by_slot view=cdr view=v_cdr view=masked_cdr view=timelines_by_slot view=timelines view=v_timelines view=masked_timelines view=call_events_by_slot view=call_events view=v_call_events view=masked_call_events view=bindings_by_slot view=bindings view=v_bindings view=masked_binding_rows view=masked_bindings view=v_conflicts view=v_other_parties view=masked_other_parties
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS slot_at 'the hour (UTC) of the first instant that was known of the call, by which its rows are stored: within a day of the call for any plausible one. A query of years is faster with bounds on slot_at, a day wider than those on the time that is meant',
    COMMENT COLUMN IF EXISTS record_id 'UUIDv5 of vendor, account, kind and dedupe key: the same item sent again has the same one',
    COMMENT COLUMN IF EXISTS call_key 'vendor|account|call id: equal for all that is known of a call',
    COMMENT COLUMN IF EXISTS timeline_id 'the call, whatever becomes known of it',
    COMMENT COLUMN IF EXISTS row_hash 'the call within its slot; of SHA-256, so that nobody can make an equal one',
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS kind 'the kind of payload, whatever the vendor calls it, as softphone_cdr, callback_cdr or privacy_ax',
    COMMENT COLUMN IF EXISTS call_type 'call, conference or voice_code: only calls stand in v_kpi_*',
    COMMENT COLUMN IF EXISTS adapter_version 'version of the vendor''s file that read it',
    COMMENT COLUMN IF EXISTS schema_version 'version of the Avro schema that it was written with',
    COMMENT COLUMN IF EXISTS version 'grows with all that is merged; of rows of one identity the highest is the truth',
    COMMENT COLUMN IF EXISTS account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN IF EXISTS account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN IF EXISTS vendor_call_id 'the vendor''s id of the call',
    COMMENT COLUMN IF EXISTS session_id 'the vendor''s id of the session, where it has one besides the call''s',
    COMMENT COLUMN IF EXISTS conference_id 'the vendor''s id of the conference; empty for other calls',
    COMMENT COLUMN IF EXISTS binding_id 'the vendor''s id of the binding of a privacy number; empty for other calls',
    COMMENT COLUMN IF EXISTS direction 'seen from the customer: inbound, outbound, callback (the platform called both), conference or unknown',
    COMMENT COLUMN IF EXISTS from_number 'number of the caller: E.164 when from_kind is e164, else as sent; NULL: not known, or kept no longer',
    COMMENT COLUMN IF EXISTS from_raw 'restricted: as the vendor sent it',
    COMMENT COLUMN IF EXISTS from_kind 'kind of from_number: e164, short, extension, masked, anonymous, unverified; empty: none',
    COMMENT COLUMN IF EXISTS from_token 'stands for from_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    COMMENT COLUMN IF EXISTS from_masked 'from_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    COMMENT COLUMN IF EXISTS to_number 'number of the called party: E.164 when to_kind is e164, else as sent; NULL: not known, or kept no longer',
    COMMENT COLUMN IF EXISTS to_raw 'restricted: as the vendor sent it',
    COMMENT COLUMN IF EXISTS to_kind 'kind of to_number, as from_kind',
    COMMENT COLUMN IF EXISTS to_token 'stands for to_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    COMMENT COLUMN IF EXISTS to_masked 'to_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    COMMENT COLUMN IF EXISTS display_number 'the number that the called party''s phone shows; NULL: not known, or kept no longer',
    COMMENT COLUMN IF EXISTS display_raw 'restricted: as the vendor sent it',
    COMMENT COLUMN IF EXISTS display_kind 'kind of display_number, as from_kind',
    COMMENT COLUMN IF EXISTS display_token 'stands for display_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    COMMENT COLUMN IF EXISTS display_masked 'display_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    COMMENT COLUMN IF EXISTS privacy_number 'the X number, which hides the parties from each other; NULL: none, or kept no longer',
    COMMENT COLUMN IF EXISTS privacy_raw 'restricted: as the vendor sent it',
    COMMENT COLUMN IF EXISTS privacy_kind 'kind of privacy_number, as from_kind',
    COMMENT COLUMN IF EXISTS privacy_token 'stands for privacy_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    COMMENT COLUMN IF EXISTS privacy_masked 'privacy_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    COMMENT COLUMN IF EXISTS started_at 'start of the call (UTC): the earliest instant of the call or of any of its legs, else the first receipt; never NULL. A query bounded by it reads only that time',
    COMMENT COLUMN IF EXISTS setup_at 'when the call was set up (UTC); NULL: not known',
    COMMENT COLUMN IF EXISTS alerting_at 'when the called phone began to ring (UTC); NULL: not known',
    COMMENT COLUMN IF EXISTS answer_at 'when the called party answered (UTC); NULL: it did not, or not known',
    COMMENT COLUMN IF EXISTS end_at 'when the call ended (UTC); NULL: it has not, or not known',
    COMMENT COLUMN IF EXISTS time_precision 's, ms or us: the finest that the source gave',
    COMMENT COLUMN IF EXISTS `legs.role` 'of each leg: A (caller, or called first), B (called), P (participant), X (not said which)',
    COMMENT COLUMN IF EXISTS `legs.number` 'number of each leg''s party, as from_number',
    COMMENT COLUMN IF EXISTS `legs.number_raw` 'restricted: numbers of the legs as the vendor sent them',
    COMMENT COLUMN IF EXISTS `legs.number_kind` 'kind of each leg''s number, as from_kind',
    COMMENT COLUMN IF EXISTS `legs.number_token` 'of each leg''s number, as from_token',
    COMMENT COLUMN IF EXISTS `legs.number_masked` 'of each leg''s number, as from_masked',
    COMMENT COLUMN IF EXISTS `legs.setup_at` 'when each leg was started (UTC); NULL: not known',
    COMMENT COLUMN IF EXISTS `legs.alerting_at` 'when each leg''s phone began to ring (UTC); NULL: not known',
    COMMENT COLUMN IF EXISTS `legs.answer_at` 'when each leg was answered (UTC); NULL: it was not, or not known',
    COMMENT COLUMN IF EXISTS `legs.end_at` 'when each leg ended (UTC); NULL: not known',
    COMMENT COLUMN IF EXISTS `legs.disposition` 'outcome of each leg, in the words of disposition',
    COMMENT COLUMN IF EXISTS `legs.hangup_reason` 'reason of each leg''s end, as hangup_reason',
    COMMENT COLUMN IF EXISTS `legs.q850` 'ITU-T Q.850 cause of each leg''s end; NULL: not known',
    COMMENT COLUMN IF EXISTS `legs.sip_code` 'SIP response code of each leg''s end; NULL: not known',
    COMMENT COLUMN IF EXISTS pdd_ms 'post-dial delay in ms: alerting - setup; NULL: not known',
    COMMENT COLUMN IF EXISTS ring_ms 'ringing in ms: (answer or end) - alerting; NULL: not known',
    COMMENT COLUMN IF EXISTS talk_ms 'talk in ms: end - answer; NULL: not known',
    COMMENT COLUMN IF EXISTS vendor_duration_s 'duration in s as the vendor counts; for some that of the A leg; NULL: not sent',
    COMMENT COLUMN IF EXISTS billable_s 'the vendor''s billed seconds where its document says they are billed; else the talk; 0 when nobody answered and the vendor names none; NULL when not known',
    COMMENT COLUMN IF EXISTS billable_source 'vendor or computed: where billable_s comes from; empty without any',
    COMMENT COLUMN IF EXISTS disposition 'outcome: answered, no_answer, busy, rejected, cancelled, unreachable, invalid_number, barred, congestion, failed, in_progress or unknown',
    COMMENT COLUMN IF EXISTS hangup_cause 'FreeSWITCH''s name of the cause, or the vendor''s own text',
    COMMENT COLUMN IF EXISTS q850 'ITU-T Q.850 cause of the end; NULL: not known',
    COMMENT COLUMN IF EXISTS sip_code 'SIP response code of the end (RFC 3261); NULL: not known',
    COMMENT COLUMN IF EXISTS hangup_reason 'why the call ended, in a word of ours or the vendor''s text',
    COMMENT COLUMN IF EXISTS cause_confidence 'exact: the vendor says the cause; derived: it follows from something else; none',
    COMMENT COLUMN IF EXISTS hangup_party 'who ended the call: a, b, platform or unknown',
    COMMENT COLUMN IF EXISTS cost 'what the vendor charges, in currency; NULL: the vendor sends none; 0: free',
    COMMENT COLUMN IF EXISTS currency 'ISO 4217 code of the cost; empty without one',
    COMMENT COLUMN IF EXISTS cost_source 'vendor: the vendor sent the cost; empty without one',
    COMMENT COLUMN IF EXISTS recording_state 'none, pending, available, expired or unknown',
    COMMENT COLUMN IF EXISTS recording_url 'restricted: whoever has it can listen',
    COMMENT COLUMN IF EXISTS recording_expires_at 'until when the vendor keeps the recording (UTC); NULL: not said',
    COMMENT COLUMN IF EXISTS has_recording 'whether the address of a recording is known',
    COMMENT COLUMN IF EXISTS custom_ref 'the customer''s own reference, as the vendor gives it back',
    COMMENT COLUMN IF EXISTS agent_id 'id of the customer''s agent, as the vendor has it',
    COMMENT COLUMN IF EXISTS agent_name 'name of the customer''s agent, as the vendor has it',
    COMMENT COLUMN IF EXISTS extras 'every field of the source that has no column, as text',
    COMMENT COLUMN IF EXISTS leg 'the phone that this leg rings, as sent',
    COMMENT COLUMN IF EXISTS leg_number 'the same in E.164, where it is one',
    COMMENT COLUMN IF EXISTS leg_token 'stands for leg_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    COMMENT COLUMN IF EXISTS leg_masked 'leg_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    COMMENT COLUMN IF EXISTS state 'setup, alerting, answer, release or unknown',
    COMMENT COLUMN IF EXISTS event_at 'when the leg came into this state (UTC), as the vendor says; NULL: not readable',
    COMMENT COLUMN IF EXISTS binding_state 'bound, unbound or failed; empty where the row says none',
    COMMENT COLUMN IF EXISTS bound_at 'when the binding was made (UTC); NULL: not said',
    COMMENT COLUMN IF EXISTS unbound_at 'when the binding ended (UTC); NULL: it has not, or not said',
    COMMENT COLUMN IF EXISTS revised_at 'the vendor''s own update clock (UTC): the newest is the truth; NULL: not said',
    COMMENT COLUMN IF EXISTS is_final 'whether all is known: the vendor reported the end',
    COMMENT COLUMN IF EXISTS in_conflict 'flagged conflict_final and not yet resolved (v_conflicts): the amounts are those of the shown content, and belong in no sum',
    COMMENT COLUMN IF EXISTS has_record 'whether the vendor''s record of the call is there',
    COMMENT COLUMN IF EXISTS has_states 'whether state events of the call are there',
    COMMENT COLUMN IF EXISTS phase '0 open, 1 timed out without a final record, 2 final, 3 final and changed after it was closed',
    COMMENT COLUMN IF EXISTS fact_count 'records and state events of the call, each once',
    COMMENT COLUMN IF EXISTS quality_flags 'what was not as the vendor documents it, one word each; schemas/README.md says what each means',
    COMMENT COLUMN IF EXISTS first_received_at 'when the first of the call was received (UTC)',
    COMMENT COLUMN IF EXISTS last_received_at 'when the last of the call was received (UTC)',
    COMMENT COLUMN IF EXISTS received_at 'when it was received (UTC)',
    COMMENT COLUMN IF EXISTS source 'push, poll or backfill: how it came',
    COMMENT COLUMN IF EXISTS request_id 'id of the request that brought it, as the log has it',
    COMMENT COLUMN IF EXISTS raw_topic 'with raw_partition, raw_offset and raw_element: where its body stands',
    COMMENT COLUMN IF EXISTS raw_partition 'partition of raw_topic',
    COMMENT COLUMN IF EXISTS raw_offset 'offset in raw_partition',
    COMMENT COLUMN IF EXISTS raw_element 'index in the body''s batch',
    COMMENT COLUMN IF EXISTS raw_sha256 'SHA-256 of the body as it came',
    COMMENT COLUMN IF EXISTS ingested_at 'when this version of the row was written (UTC)';

-- each: view=cdr_by_slot view=cdr
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS `contents.digest` 'contents that contradict each other, see v_conflicts; empty without any',
    COMMENT COLUMN IF EXISTS `contents.is_shown` 'of each content: whether the row''s own columns show it',
    COMMENT COLUMN IF EXISTS `contents.is_final` 'of each content: whether it reports the end',
    COMMENT COLUMN IF EXISTS `contents.received_at` 'of each content: when it was received (UTC)',
    COMMENT COLUMN IF EXISTS `contents.source` 'of each content: push, poll or backfill',
    COMMENT COLUMN IF EXISTS `contents.raw_topic` 'of each content: with raw_partition, raw_offset and raw_element, where its body stands',
    COMMENT COLUMN IF EXISTS `contents.raw_partition` 'of each content: partition of raw_topic',
    COMMENT COLUMN IF EXISTS `contents.raw_offset` 'of each content: offset in raw_partition',
    COMMENT COLUMN IF EXISTS `contents.raw_element` 'of each content: index in the body''s batch',
    COMMENT COLUMN IF EXISTS `contents.disposition` 'of each content: as disposition',
    COMMENT COLUMN IF EXISTS `contents.setup_at` 'of each content: as setup_at',
    COMMENT COLUMN IF EXISTS `contents.answer_at` 'of each content: as answer_at',
    COMMENT COLUMN IF EXISTS `contents.end_at` 'of each content: as end_at',
    COMMENT COLUMN IF EXISTS `contents.talk_ms` 'of each content: as talk_ms',
    COMMENT COLUMN IF EXISTS `contents.vendor_duration_s` 'of each content: as vendor_duration_s',
    COMMENT COLUMN IF EXISTS `contents.billable_s` 'of each content: as billable_s',
    COMMENT COLUMN IF EXISTS `contents.cost` 'of each content: as cost',
    COMMENT COLUMN IF EXISTS `contents.currency` 'of each content: as currency',
    COMMENT COLUMN IF EXISTS `contents.from_number` 'of each content: as from_number',
    COMMENT COLUMN IF EXISTS `contents.from_token` 'of each content: as from_token',
    COMMENT COLUMN IF EXISTS `contents.from_masked` 'of each content: as from_masked',
    COMMENT COLUMN IF EXISTS `contents.to_number` 'of each content: as to_number',
    COMMENT COLUMN IF EXISTS `contents.to_token` 'of each content: as to_token',
    COMMENT COLUMN IF EXISTS `contents.to_masked` 'of each content: as to_masked',
    COMMENT COLUMN IF EXISTS `contents.hangup_cause` 'of each content: as hangup_cause',
    COMMENT COLUMN IF EXISTS `contents.q850` 'of each content: as q850',
    COMMENT COLUMN IF EXISTS `contents.sip_code` 'of each content: as sip_code',
    COMMENT COLUMN IF EXISTS `contents.hangup_reason` 'of each content: as hangup_reason',
    COMMENT COLUMN IF EXISTS `contents.hangup_party` 'of each content: as hangup_party';

-- each: view=bindings_by_slot view=bindings view=v_bindings view=masked_binding_rows view=masked_bindings
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS direction 'the direction that the binding allows, in the words of a call''s',
    COMMENT COLUMN IF EXISTS from_number 'number of the one party of the binding, as a call''s from_number',
    COMMENT COLUMN IF EXISTS to_number 'number of the other party of the binding, as a call''s to_number';

-- each: view=v_bindings view=masked_bindings
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS received_at 'when the newest row of the binding was received (UTC)';

-- each: view=v_conflicts
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS received_at 'when this content was received (UTC), not the record''s first one',
    COMMENT COLUMN IF EXISTS is_final 'whether this content reports the end',
    COMMENT COLUMN IF EXISTS source 'push, poll or backfill: how this content came';

-- each: view=v_causes
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN slot_at 'start of the hour (UTC) in which the calls started',
    COMMENT COLUMN vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN direction 'seen from the customer: inbound, outbound, callback (the platform called both), conference or unknown',
    COMMENT COLUMN disposition 'outcome: answered, no_answer, busy, rejected, cancelled, unreachable, invalid_number, barred, congestion, failed, in_progress or unknown',
    COMMENT COLUMN hangup_cause 'FreeSWITCH''s name of the cause, or the vendor''s own text',
    COMMENT COLUMN q850 'ITU-T Q.850 cause of the end; NULL: not known',
    COMMENT COLUMN sip_code 'SIP response code of the end (RFC 3261); NULL: not known',
    COMMENT COLUMN calls 'calls of which all is known (is_final), of the type call, that ended so',
    COMMENT COLUMN in_conflict 'those of them that are flagged conflict_final and not yet resolved, counted as they are shown',
    COMMENT COLUMN derived 'those of them whose cause follows from something else than a cause that the vendor sent',
    COMMENT COLUMN talk_total_ms 'sum of their talk in ms, where it is known';

-- each: view=v_vendor_quality
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN day 'UTC day of receipt: of records and state events received_at, of dead letters occurred_at, of calls last_received_at',
    COMMENT COLUMN vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN records 'call records, each once',
    COMMENT COLUMN events 'state events, each once',
    COMMENT COLUMN timed 'records with an end and state events with an instant: those of which the lag is known',
    COMMENT COLUMN lag_p50_ms 'median delivery lag in ms: receipt - end of a record, receipt - instant of a state event; the value at position floor(0.5 n) of n sorted ones, counted from 0. Below zero: the vendor''s clock is ahead, or its zone is wrong. What is pulled waits for the next pull',
    COMMENT COLUMN lag_p95_ms '95th percentile of the delivery lag in ms: position floor(0.95 n), as lag_p50_ms',
    COMMENT COLUMN lag_p99_ms '99th percentile of the delivery lag in ms: position floor(0.99 n), as lag_p50_ms',
    COMMENT COLUMN freshness_p50_ms 'median time from receipt to the newest version of the row, in ms: position floor(0.5 n). A row that is written again, as by a replay, counts from its first receipt',
    COMMENT COLUMN freshness_p99_ms '99th percentile of the same: position floor(0.99 n)',
    COMMENT COLUMN flagged 'records and state events with any quality flag',
    COMMENT COLUMN repaired 'those flagged repaired_json, charset_repaired, key_normalised or dup_key: readable only after a repair',
    COMMENT COLUMN drifted 'those flagged schema_drift or type_drift: not as the vendor''s document says',
    COMMENT COLUMN unknown_values 'those flagged unknown_enum: a value that the vendor''s document does not list (v_unknown_values)',
    COMMENT COLUMN contradicted 'records flagged conflict_final: two final contents contradict each other (v_conflicts)',
    COMMENT COLUMN dead 'dead letters: bodies and elements that could not be used (v_dead_letters)',
    COMMENT COLUMN dead_unresolved 'those of them that were not sent again',
    COMMENT COLUMN dead_ratio 'dead / (records + events + dead), 0..1; NULL without any',
    COMMENT COLUMN calls 'calls of which the last was received on the day',
    COMMENT COLUMN calls_with_states 'those of them with state events',
    COMMENT COLUMN calls_without_states 'those of them with a record and no state event; NULL where the vendor sent states of no call of the day and account',
    COMMENT COLUMN calls_without_record 'those of them that were closed (phase 1 and above) and of which no record ever came',
    COMMENT COLUMN last_received_at 'when the last record, state event or dead letter of the day came (UTC)';

-- each: view=v_vendor_flags
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN day 'UTC day of receipt',
    COMMENT COLUMN vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN kind 'the kind of payload, whatever the vendor calls it, as softphone_cdr, callback_cdr or privacy_ax',
    COMMENT COLUMN flag 'a quality flag; schemas/README.md says what each means',
    COMMENT COLUMN items 'records and state events with the flag',
    COMMENT COLUMN of_items 'records and state events in all, with or without it',
    COMMENT COLUMN share 'items / of_items, 0..1',
    COMMENT COLUMN example_call_id 'the vendor''s id of one of the calls, to show the vendor';

-- each: view=v_unknown_values
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN day 'UTC day of receipt',
    COMMENT COLUMN vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN kind 'the kind of payload, whatever the vendor calls it, as softphone_cdr, callback_cdr or privacy_ax',
    COMMENT COLUMN flag 'unknown_enum, schema_drift, type_drift or range_error',
    COMMENT COLUMN field 'the vendor''s name of a field without a column that stands in flagged items; hangup_cause, hangup_reason and state are ours',
    COMMENT COLUMN value 'what stands in it',
    COMMENT COLUMN items 'flagged records and state events in which it stands so',
    COMMENT COLUMN example_call_id 'the vendor''s id of one of the calls, to show the vendor';

-- each: view=v_silent_vendors
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN last_received_at 'when its last record or state event came (UTC)',
    COMMENT COLUMN median_gap_s 'median time in s between two seconds of the last 30 days in which something came',
    COMMENT COLUMN silent_s 'time in s since the last one',
    COMMENT COLUMN silent_gaps 'silent_s / median_gap_s: 10 at the least';

-- each: view=dead_letters_versions view=dead_letters view=v_dead_letters
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS stage 'normalise, join, sink ...: where it failed',
    COMMENT COLUMN IF EXISTS code 'what kind of failure; a closed set',
    COMMENT COLUMN IF EXISTS detail 'what is wrong and where, without the values',
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS callback 'the vendor''s callback that brought it',
    COMMENT COLUMN IF EXISTS account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN IF EXISTS topic 'topic of its origin',
    COMMENT COLUMN IF EXISTS partition 'partition of its origin',
    COMMENT COLUMN IF EXISTS offset 'offset of its origin',
    COMMENT COLUMN IF EXISTS element 'index in the body''s batch; -1: the whole body',
    COMMENT COLUMN IF EXISTS original 'restricted: the bytes as they stood on the topic',
    COMMENT COLUMN IF EXISTS original_bytes 'length of the bytes as they stood on the topic; 0: they stand only at the origin',
    COMMENT COLUMN IF EXISTS headers 'restricted: headers of the origin, so that a replay has the same identity',
    COMMENT COLUMN IF EXISTS occurred_at 'when it failed (UTC)',
    COMMENT COLUMN IF EXISTS processor 'version of the code that failed',
    COMMENT COLUMN IF EXISTS resolved 'it was sent again by callweave dead replay',
    COMMENT COLUMN IF EXISTS version 'its time; a resolved one has a bit above all times: the highest is the truth',
    COMMENT COLUMN IF EXISTS ingested_at 'when this version of the row was written (UTC)',
    COMMENT COLUMN IF EXISTS origin_hash 'of the origin: bytes, time and what it replays';

-- each: view=v_conferences
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN IF EXISTS conference_id 'the vendor''s id of the conference; empty: its legs have none',
    COMMENT COLUMN IF EXISTS started_at 'when the first leg joined (UTC)',
    COMMENT COLUMN IF EXISTS ended_at 'when the last leg left (UTC)',
    COMMENT COLUMN IF EXISTS legs 'legs, each once',
    COMMENT COLUMN IF EXISTS answered_legs 'legs that were answered',
    COMMENT COLUMN IF EXISTS currency 'of the costs; mixed: more than one, then there is no total';

-- each: view=v_charges_day
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN IF EXISTS account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN IF EXISTS billable_provisional_s 'sum of billable_s of provisional records, in s; NULL: not known of any',
    COMMENT COLUMN IF EXISTS cost_provisional 'sum of cost of provisional records; NULL: the vendor sent none';

-- each: view=v_kpi_5m view=v_kpi_hour view=v_kpi_day
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN IF EXISTS direction 'seen from the customer: inbound, outbound, callback (the platform called both), conference or unknown';

-- each: view=kpi_calls
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN IF EXISTS account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN IF EXISTS direction 'seen from the customer: inbound, outbound, callback (the platform called both), conference or unknown',
    COMMENT COLUMN IF EXISTS attempts 'calls of which all is known (is_final)',
    COMMENT COLUMN IF EXISTS answered 'attempts with disposition answered',
    COMMENT COLUMN IF EXISTS network_effective 'attempts that the network served, as v_kpi_* says',
    COMMENT COLUMN IF EXISTS provisional 'calls that are not final',
    COMMENT COLUMN IF EXISTS in_conflict 'calls flagged conflict_final and not yet resolved',
    COMMENT COLUMN IF EXISTS talk_total_ms 'sum of talk_ms over answered attempts that are not in conflict',
    COMMENT COLUMN IF EXISTS answered_without_talk 'answered attempts not in conflict whose talk is not known',
    COMMENT COLUMN IF EXISTS answered_with_talk 'answered attempts not in conflict whose talk is known',
    COMMENT COLUMN IF EXISTS talk_in_conflict_ms 'sum of talk_ms over answered calls in conflict',
    COMMENT COLUMN IF EXISTS short_calls 'answered attempts not in conflict with less than 6 s of talk',
    COMMENT COLUMN IF EXISTS billed_s 'sum of billable_s over attempts that are not in conflict; NULL: not known of any',
    COMMENT COLUMN IF EXISTS billable_in_conflict_s 'sum of billable_s over calls in conflict; NULL: none',
    COMMENT COLUMN IF EXISTS billable_provisional_s 'sum of billable_s over provisional calls; NULL: none',
    COMMENT COLUMN IF EXISTS cost 'sum of cost over attempts that are not in conflict; NULL: no vendor sent one',
    COMMENT COLUMN IF EXISTS cost_in_conflict 'sum of cost over calls in conflict; NULL: none',
    COMMENT COLUMN IF EXISTS cost_provisional 'sum of cost over provisional calls; NULL: none',
    COMMENT COLUMN IF EXISTS computed_at 'when the row was written (UTC)';

-- each: view=kpi_marks
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS marked_at 'when it was marked (UTC)';

-- each: view=rows_moved
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS moved_at 'when the last of them was moved (UTC)',
    COMMENT COLUMN IF EXISTS version 'the highest is the truth';

-- each: view=schema_migrations
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS name 'file name without the ending',
    COMMENT COLUMN IF EXISTS checksum 'SHA-256 of the file, so that a changed one is found',
    COMMENT COLUMN IF EXISTS applied_at 'when it ran (UTC)',
    COMMENT COLUMN IF EXISTS version 'the highest is the truth';
