-- Snapshots of number bindings, as pushed; `bindings` shows each snapshot once, `v_bindings` each binding's newest.
-- Identity and partition as in 001.
CREATE TABLE IF NOT EXISTS {{database}}.bindings_versions {{on_cluster}}
(
    record_id UUID COMMENT 'UUIDv5 of vendor, account, kind and dedupe key',
    call_key String CODEC(ZSTD(1)),
    vendor LowCardinality(String),
    kind LowCardinality(String),
    adapter_version UInt32,
    schema_version UInt32,
    version UInt64,
    account_id String,
    binding_id String,
    binding_state LowCardinality(String) COMMENT 'bound, unbound or failed',
    direction LowCardinality(String) COMMENT 'the direction that the binding allows',
    from_number Nullable(String),
    from_raw String COMMENT 'restricted: as the vendor sent it',
    from_kind LowCardinality(String),
    to_number Nullable(String),
    to_raw String COMMENT 'restricted: as the vendor sent it',
    to_kind LowCardinality(String),
    display_number Nullable(String),
    display_raw String COMMENT 'restricted: as the vendor sent it',
    display_kind LowCardinality(String),
    privacy_number Nullable(String) COMMENT 'the X number',
    privacy_raw String COMMENT 'restricted: as the vendor sent it',
    privacy_kind LowCardinality(String),
    bound_at Nullable(DateTime64(6, 'UTC')),
    unbound_at Nullable(DateTime64(6, 'UTC')),
    revised_at Nullable(DateTime64(6, 'UTC')) COMMENT 'the vendor''s own update clock: the newest is the truth',
    time_precision LowCardinality(String),
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
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{replacing}}
PARTITION BY vendor
ORDER BY (vendor, account_id, record_id)
COMMENT 'Versions of binding snapshots: read bindings or v_bindings instead';
