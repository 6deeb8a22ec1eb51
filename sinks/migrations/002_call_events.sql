-- State events: a leg of a call was set up, rang, was answered, was released. `call_events` and `v_call_events` show them.
-- Identity and partition as in 001; an event's version grows only when the vendor sends the same event with other content.
CREATE TABLE IF NOT EXISTS {{database}}.call_events_versions {{on_cluster}}
(
    record_id UUID COMMENT 'UUIDv5 of vendor, account, kind and dedupe key',
    call_key String CODEC(ZSTD(1)) COMMENT 'vendor|account|call id: equal for all that is known of a call',
    vendor LowCardinality(String),
    kind LowCardinality(String),
    adapter_version UInt32,
    schema_version UInt32,
    version UInt64,
    account_id String,
    vendor_call_id String,
    session_id String,
    direction LowCardinality(String),
    leg String COMMENT 'the phone that this leg rings, as sent',
    leg_number Nullable(String) COMMENT 'the same in E.164, where it is one',
    state LowCardinality(String) COMMENT 'setup, alerting, answer, release or unknown',
    event_at Nullable(DateTime64(6, 'UTC')),
    time_precision LowCardinality(String),
    from_number Nullable(String),
    from_raw String COMMENT 'restricted: as the vendor sent it',
    from_kind LowCardinality(String),
    to_number Nullable(String),
    to_raw String COMMENT 'restricted: as the vendor sent it',
    to_kind LowCardinality(String),
    display_number Nullable(String),
    display_raw String COMMENT 'restricted: as the vendor sent it',
    display_kind LowCardinality(String),
    hangup_cause LowCardinality(String),
    q850 Nullable(UInt16),
    sip_code Nullable(UInt16),
    hangup_reason String,
    custom_ref String,
    extras Map(LowCardinality(String), String),
    quality_flags Array(LowCardinality(String)),
    received_at DateTime64(3, 'UTC'),
    source LowCardinality(String),
    request_id String,
    raw_topic LowCardinality(String),
    raw_partition Int32,
    raw_offset Int64,
    raw_element Int32,
    raw_sha256 String,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX ix_vendor_call_id vendor_call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_event_at event_at TYPE minmax GRANULARITY 1
)
ENGINE = {{replacing}}
PARTITION BY vendor
ORDER BY (vendor, account_id, record_id)
COMMENT 'Versions of state events: read call_events or v_call_events instead';
