-- What the columns of figures, of the ledger and of reconciliations are, where no earlier migration says it.
-- each: view=v_kpi_5m_local view=v_kpi_5m_cost view=v_kpi_5m_cost_local view=v_kpi_hour_local view=v_kpi_hour_cost view=v_kpi_hour_cost_local view=v_kpi_day_local view=v_kpi_day_cost view=v_kpi_day_cost_local view=v_kpi_hour_detail view=v_kpi_day_detail
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN IF EXISTS direction 'seen from the customer: inbound, outbound, callback (the platform called both), conference or unknown';

-- each: view=reconciliations view=v_reconciliations view=reconciled_records view=v_reconciled_records
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS run_id 'UUIDv5 of the file''s SHA-256 and of the settings: the same file again is the same run',
    COMMENT COLUMN IF EXISTS ran_at 'when the run began (UTC)',
    COMMENT COLUMN IF EXISTS vendor 'the vendor that reported it, by the name of its file',
    COMMENT COLUMN IF EXISTS account 'our name of the account, or the vendor''s id of it',
    COMMENT COLUMN IF EXISTS account_id 'the vendor''s own id of the account, as the payload has it',
    COMMENT COLUMN IF EXISTS kind 'the kind of the record, as in v_cdr',
    COMMENT COLUMN IF EXISTS vendor_call_id 'the vendor''s id of the call',
    COMMENT COLUMN IF EXISTS file_name 'name of the carrier''s file',
    COMMENT COLUMN IF EXISTS file_sha256 'SHA-256 of the carrier''s file, as hexadecimal digits',
    COMMENT COLUMN IF EXISTS matched_by 'what paired the records: id, or numbers_and_start',
    COMMENT COLUMN IF EXISTS period_from 'first instant of the period (UTC): only_ours are records of it',
    COMMENT COLUMN IF EXISTS period_until 'the instant after the period (UTC)',
    COMMENT COLUMN IF EXISTS compared 'fields of which both sides know something',
    COMMENT COLUMN IF EXISTS tolerance_s 'difference in seconds that counts as none',
    COMMENT COLUMN IF EXISTS tolerance_cost 'difference in money that counts as none, in the currency of the record',
    COMMENT COLUMN IF EXISTS settings 'all settings of the run, as JSON',
    COMMENT COLUMN IF EXISTS equal 'records that both sides have with the same values',
    COMMENT COLUMN IF EXISTS within_tolerance 'records in which nothing differs by more than the tolerance',
    COMMENT COLUMN IF EXISTS differs 'records that both sides have with different values',
    COMMENT COLUMN IF EXISTS only_theirs 'records that only the file has',
    COMMENT COLUMN IF EXISTS only_ours 'records of the period that only we have',
    COMMENT COLUMN IF EXISTS doubled_theirs 'rows of the file with a record that it has already',
    COMMENT COLUMN IF EXISTS unreadable 'rows of the file that cannot be read',
    COMMENT COLUMN IF EXISTS left_out 'rows of the file that are no records of the period',
    COMMENT COLUMN IF EXISTS their_records 'records of the file in the period',
    COMMENT COLUMN IF EXISTS our_records 'records of ours in the period',
    COMMENT COLUMN IF EXISTS their_billed_s 'billed seconds by the file; NULL: not known',
    COMMENT COLUMN IF EXISTS our_billed_s 'billed seconds by our records; NULL: not known',
    COMMENT COLUMN IF EXISTS `costs.currency` 'currencies of the costs, sorted',
    COMMENT COLUMN IF EXISTS `costs.theirs` 'sum of the file''s costs in each currency',
    COMMENT COLUMN IF EXISTS `costs.ours` 'sum of our costs in each currency',
    COMMENT COLUMN IF EXISTS records_apart 'their_records - our_records',
    COMMENT COLUMN IF EXISTS billed_apart_s 'their_billed_s - our_billed_s',
    COMMENT COLUMN IF EXISTS line 'row of the file; 0: only we have the record',
    COMMENT COLUMN IF EXISTS record_id 'record_id of our record in v_cdr; zeros: only the file has it',
    COMMENT COLUMN IF EXISTS class 'equal, within_tolerance, differs, only_theirs, only_ours, doubled_theirs or unreadable',
    COMMENT COLUMN IF EXISTS started_at 'first instant of the call (UTC), by the file if it has the record',
    COMMENT COLUMN IF EXISTS their_cost 'cost by the file; NULL: not known',
    COMMENT COLUMN IF EXISTS our_cost 'cost by our record; NULL: not known',
    COMMENT COLUMN IF EXISTS their_currency 'currency of their_cost; empty: not known',
    COMMENT COLUMN IF EXISTS our_currency 'currency of our_cost; empty: not known',
    COMMENT COLUMN IF EXISTS `differences.field` 'fields in which both sides differ',
    COMMENT COLUMN IF EXISTS `differences.theirs` 'the file''s value of each; empty for none, and for phone numbers',
    COMMENT COLUMN IF EXISTS `differences.ours` 'our value of each; empty for none, and for phone numbers',
    COMMENT COLUMN IF EXISTS note 'why the row of the file cannot be read',
    COMMENT COLUMN IF EXISTS version 'milliseconds since 1970 of the run',
    COMMENT COLUMN IF EXISTS ingested_at 'when the row was written (UTC)';

-- each: view=ledger view=v_ledger view=v_ledger_entries view=v_ledger_open view=v_ledger_ways view=v_push_pull
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS hour 'hour of receipt (UTC)',
    COMMENT COLUMN IF EXISTS topic 'topic of the raw record',
    COMMENT COLUMN IF EXISTS raw_partition 'partition of calls.raw',
    COMMENT COLUMN IF EXISTS raw_offset 'offset in the partition; of a gap its first one',
    COMMENT COLUMN IF EXISTS raw_element 'index of the element in the body; 0 for a body that is one dead letter or has no elements, -1 for a gap',
    COMMENT COLUMN IF EXISTS received_at 'receipt of the body (UTC), to the second',
    COMMENT COLUMN IF EXISTS vendor 'the vendor whose address let the body in; unknown: no vendor of the release that read it',
    COMMENT COLUMN IF EXISTS account 'the configured account whose address let it in; empty for none',
    COMMENT COLUMN IF EXISTS source 'how the body came: push, poll, backfill or file_cdr',
    COMMENT COLUMN IF EXISTS record_hash 'first half of the record''s id, of vendors that push and are pulled; else 0',
    COMMENT COLUMN IF EXISTS records 'records of the row, each counted once',
    COMMENT COLUMN IF EXISTS ingested_at 'when the row was written (UTC)';

-- each: table=account_zones
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN version 'milliseconds since 1970 at which the sink took it from its settings; the highest is the truth';

-- each: view=kpi_calls
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN IF EXISTS seizures 'attempts for which the network had a circuit: all but those that ended as congestion or barred and never rang',
    COMMENT COLUMN IF EXISTS recorded 'answered attempts with a recording, be it available or expired',
    COMMENT COLUMN IF EXISTS recording_unknown 'answered attempts of which it is not known whether there is a recording',
    COMMENT COLUMN IF EXISTS `costs.cost` 'sum of the costs in each currency, of attempts that are not in conflict',
    COMMENT COLUMN IF EXISTS `costs.in_conflict` 'calls in conflict with a cost in each currency',
    COMMENT COLUMN IF EXISTS `costs.cost_in_conflict` 'sum of their costs in each currency',
    COMMENT COLUMN IF EXISTS `costs.provisional` 'provisional calls with a cost in each currency',
    COMMENT COLUMN IF EXISTS `costs.cost_provisional` 'sum of their costs in each currency';
