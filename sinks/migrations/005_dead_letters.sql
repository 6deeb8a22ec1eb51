-- What could not be used, with its original bytes; `dead_letters` and `v_dead_letters` show the newest version of each.
-- The identity is the origin's position, the element and the stage. No partition key: the vendor of a body that nobody
-- can read is not part of its identity. A resolved letter has the higher version, so the same letter seen again on the
-- topic does not open it again; a replay that fails has a position of its own.
CREATE TABLE IF NOT EXISTS {{database}}.dead_letters_versions {{on_cluster}}
(
    stage LowCardinality(String) COMMENT 'normalise, join, sink ...',
    code LowCardinality(String) COMMENT 'what kind of failure; a closed set',
    detail String COMMENT 'what is wrong and where, without the values',
    vendor LowCardinality(String),
    callback LowCardinality(String),
    account String,
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    element Int32 COMMENT 'index in the body''s batch; -1: the whole body',
    original String CODEC(ZSTD(3)) COMMENT 'restricted: the bytes as they stood on the topic',
    headers Map(LowCardinality(String), String),
    occurred_at DateTime64(3, 'UTC'),
    processor String,
    resolved Bool COMMENT 'it was sent again by callweave dead replay',
    version UInt64,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX ix_occurred_at occurred_at TYPE minmax GRANULARITY 1
)
ENGINE = {{replacing}}
ORDER BY (topic, partition, offset, element, stage)
COMMENT 'Versions of dead letters: read dead_letters or v_dead_letters instead';
