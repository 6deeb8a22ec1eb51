-- Which configured account let a row in, the contents of a record that contradict each other, and what a timeline is. Rows of
-- before have the defaults: no account, no contents, a call's type as its kind tells it, its start as its legs tell it.
-- each: table=cdr_versions table=call_events_versions table=bindings_versions table=timelines_versions
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    ADD COLUMN IF NOT EXISTS account String COMMENT 'the configured account whose address let it in; empty for none';

-- each: table=cdr_versions
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    ADD COLUMN IF NOT EXISTS `contents.digest` Array(String) COMMENT 'contents that contradict each other, see v_conflicts; empty without any',
    ADD COLUMN IF NOT EXISTS `contents.is_shown` Array(Bool),
    ADD COLUMN IF NOT EXISTS `contents.is_final` Array(Bool),
    ADD COLUMN IF NOT EXISTS `contents.received_at` Array(DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS `contents.source` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `contents.raw_topic` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `contents.raw_partition` Array(Int32),
    ADD COLUMN IF NOT EXISTS `contents.raw_offset` Array(Int64),
    ADD COLUMN IF NOT EXISTS `contents.raw_element` Array(Int32),
    ADD COLUMN IF NOT EXISTS `contents.disposition` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `contents.setup_at` Array(Nullable(DateTime64(6, 'UTC'))),
    ADD COLUMN IF NOT EXISTS `contents.answer_at` Array(Nullable(DateTime64(6, 'UTC'))),
    ADD COLUMN IF NOT EXISTS `contents.end_at` Array(Nullable(DateTime64(6, 'UTC'))),
    ADD COLUMN IF NOT EXISTS `contents.talk_ms` Array(Nullable(UInt32)),
    ADD COLUMN IF NOT EXISTS `contents.vendor_duration_s` Array(Nullable(UInt32)),
    ADD COLUMN IF NOT EXISTS `contents.billable_s` Array(Nullable(UInt32)),
    ADD COLUMN IF NOT EXISTS `contents.cost` Array(Nullable(Decimal(18, 6))),
    ADD COLUMN IF NOT EXISTS `contents.currency` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `contents.from_number` Array(Nullable(String)),
    ADD COLUMN IF NOT EXISTS `contents.to_number` Array(Nullable(String)),
    ADD COLUMN IF NOT EXISTS `contents.hangup_cause` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `contents.q850` Array(Nullable(UInt16)),
    ADD COLUMN IF NOT EXISTS `contents.sip_code` Array(Nullable(UInt16)),
    ADD COLUMN IF NOT EXISTS `contents.hangup_reason` Array(String),
    ADD COLUMN IF NOT EXISTS `contents.hangup_party` Array(LowCardinality(String));

-- each: table=timelines_versions
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    ADD COLUMN IF NOT EXISTS call_type LowCardinality(String)
        DEFAULT multiIf(kind = 'conference_leg', 'conference', kind = 'voice_otp', 'voice_code', 'call')
        COMMENT 'call, conference or voice_code: only calls stand in v_kpi_*',
    ADD COLUMN IF NOT EXISTS started_at Nullable(DateTime64(6, 'UTC'))
        DEFAULT coalesce(
            arrayReduce('min', arrayConcat(
                [setup_at, alerting_at, answer_at, end_at],
                `legs.setup_at`, `legs.alerting_at`, `legs.answer_at`, `legs.end_at`
            )),
            toDateTime64(first_received_at, 6, 'UTC')
        )
        COMMENT 'the earliest instant of the call or of any of its legs, else the first receipt';

-- each: table=cdr_versions table=timelines_versions
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN billable_s 'the vendor''s billed seconds where its document says they are billed; else the talk; 0 when nobody answered and the vendor names none; NULL when not known';
