-- Charges as the vendors' records say them, of every kind: one record is one charge, so nothing is counted twice and nothing is
-- left out. Amounts in conflict and provisional ones stand beside the sums instead of in them.
CREATE OR REPLACE VIEW {{database}}.v_charges_day {{on_cluster}} AS
WITH records AS
(
    SELECT
        *,
        has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved') AS disputed,
        is_final AND NOT disputed AS counted,
        arrayReduce('min', arrayConcat(
            [setup_at, alerting_at, answer_at, end_at],
            `legs.setup_at`, `legs.alerting_at`, `legs.answer_at`, `legs.end_at`
        )) AS first_at
    FROM {{database}}.cdr
)
SELECT
    toDate(coalesce(first_at, toDateTime64(received_at, 6, 'UTC')), 'UTC') AS day,
    vendor,
    account,
    account_id,
    multiIf(kind = 'conference_leg', 'conference', kind = 'voice_otp', 'voice_code', 'call') AS call_type,
    if(cost IS NULL, '', toString(r.currency)) AS currency,
    countIf(counted) AS records,
    countIf(disputed) AS in_conflict,
    countIf(NOT is_final AND NOT disputed) AS provisional,
    sumIf(r.billable_s, counted) AS billed_s,
    sumIf(r.billable_s, disputed) AS billable_in_conflict_s,
    sumIf(r.billable_s, NOT is_final AND NOT disputed) AS billable_provisional_s,
    sumIf(r.cost, counted) AS cost_total,
    sumIf(r.cost, disputed) AS cost_in_conflict,
    sumIf(r.cost, NOT is_final AND NOT disputed) AS cost_provisional
FROM records AS r
GROUP BY day, vendor, account, account_id, call_type, currency
COMMENT 'What the vendors charge, per day of start (UTC), vendor, account, type of call and currency: from v_cdr, each record once';

ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN day 'UTC day of the earliest instant of the record or of any of its legs, else of its receipt';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN call_type 'call, conference or voice_code';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN currency 'of the costs; empty: records without a cost';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN records 'final records that are not in conflict';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN in_conflict 'records flagged conflict_final and not yet resolved (v_conflicts): their amounts only in *_in_conflict';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN provisional 'records that are not final: their amounts only in *_provisional';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN billed_s 'sum of billable_s of the records that count; NULL: not known of any';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN billable_in_conflict_s 'sum of billable_s of records in conflict, as their shown contents say';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN cost_total 'sum of cost of the records that count; NULL: the vendor sent none';
ALTER TABLE {{database}}.v_charges_day {{on_cluster}} COMMENT COLUMN cost_in_conflict 'sum of cost of records in conflict, as their shown contents say';

-- each: view=cdr view=v_cdr view=timelines view=v_timelines
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN billable_s 'the vendor''s billed seconds where its document says they are billed; else the talk; 0 when nobody answered and the vendor names none; NULL when not known';
