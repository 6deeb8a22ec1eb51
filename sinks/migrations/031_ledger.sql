-- What became of each element of each raw record, by its coordinates on calls.raw: elements in = facts + duplicates + dead + filtered.
-- Normalise writes an entry for each element and join one for each fact; of entries with one key the highest version stays, and it
-- follows from records alone, so repetitions change nothing. Within an hour entries are in the order of the topic: what changes from
-- one to the next is little, and takes little room.
-- version, of normalise: 1 the body has no elements, 2 unaccounted, 3 filtered, 4 a dead letter, 5 a fact; 8 more where only workers
-- that keep the ledger ran, and it is no replay. Of join: bits 30 and 31 are 1 a dead letter, 2 erased, 3 joined; the two lowest are
-- 0 and 2 new, 1 and 3 a duplicate; between them the hours until an end of time, so that the earliest decision is the highest.
CREATE TABLE IF NOT EXISTS {{database}}.ledger {{on_cluster}}
(
    received_at DateTime('UTC') CODEC(Delta, ZSTD(1)) COMMENT 'receipt of the body, to the second',
    raw_partition Int32 CODEC(Delta, ZSTD(1)) COMMENT 'partition of calls.raw',
    raw_offset Int64 CODEC(Delta, ZSTD(1)) COMMENT 'offset in it',
    raw_element Int32 CODEC(Delta, ZSTD(1)) COMMENT 'index in the body; 0 for a body that is one dead letter, or has no elements',
    stage Enum8('normalise' = 0, 'join' = 1) COMMENT 'who says it',
    vendor LowCardinality(String) COMMENT 'unknown: no vendor of the release that read the body',
    account LowCardinality(String) COMMENT 'configured account, empty for none',
    source LowCardinality(String) COMMENT 'push, poll or backfill',
    record_hash UInt64 CODEC(ZSTD(1)) COMMENT 'first half of the record''s id, of vendors that push and are pulled; else 0',
    version UInt64 CODEC(ZSTD(1)) COMMENT 'what became of the element, as a number: see v_ledger_entries',
    ingested_at DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1))
)
ENGINE = {{replacing}}
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (toStartOfHour(received_at), raw_partition, raw_offset, raw_element, stage)
SETTINGS index_granularity = 8192, default_compression_codec = 'ZSTD(1)', min_age_to_force_merge_seconds = 600,
    min_age_to_force_merge_on_partition_only = 1
COMMENT 'Entries of the ledger: read v_ledger, v_ledger_open or v_ledger_entries instead';

CREATE OR REPLACE VIEW {{database}}.v_ledger_entries {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    toStartOfHour(e.received_at) AS hour,
    e.raw_partition AS raw_partition,
    e.raw_offset AS raw_offset,
    e.raw_element AS raw_element,
    any(e.vendor) AS vendor,
    any(e.account) AS account,
    any(e.source) AS source,
    any(e.received_at) AS received_at,
    maxIf(e.version, e.stage = 'normalise') AS read_as,
    maxIf(e.version, e.stage = 'join') AS joined_as,
    read_as >= 8 AS is_live,
    multiIf(
        joined_as >= 3221225472, if(joined_as % 2 = 1, 'duplicate', 'fact'),
        joined_as >= 2147483648, 'filtered',
        joined_as > 0, 'dead',
        read_as % 8 = 5, if(is_live, 'waiting', 'unseen'),
        read_as % 8 = 4, 'dead',
        read_as % 8 = 3, 'filtered',
        read_as % 8 = 2, 'unaccounted',
        'empty'
    ) AS outcome,
    min(e.ingested_at) AS stored_at
FROM {{database}}.ledger AS e
GROUP BY hour, raw_partition, raw_offset, raw_element
COMMENT 'Elements of raw records, each once, with what became of it';

CREATE OR REPLACE VIEW {{database}}.v_ledger {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    e.vendor AS vendor,
    e.account AS account,
    e.hour AS hour,
    countIf(e.raw_element = 0) AS bodies,
    countIf(e.outcome != 'empty') AS elements,
    countIf(e.outcome = 'fact') AS facts,
    countIf(e.outcome = 'duplicate') AS duplicates,
    countIf(e.outcome = 'dead') AS dead,
    countIf(e.outcome = 'filtered') AS filtered,
    countIf(e.outcome = 'waiting' AND e.stored_at > now() - INTERVAL 10 MINUTE) AS waiting,
    countIf(e.outcome = 'unseen') AS unseen,
    toInt64(elements) - facts - duplicates - dead - filtered - waiting - unseen AS difference
FROM {{database}}.v_ledger_entries AS e
WHERE e.read_as > 0
GROUP BY vendor, account, hour
COMMENT 'The books per vendor, account and hour of receipt (UTC): elements in = facts + duplicates + dead + filtered; difference must be 0';

CREATE OR REPLACE VIEW {{database}}.v_ledger_open {{on_cluster}}
SQL SECURITY DEFINER AS
WITH
bodies AS
(
    SELECT raw_partition, raw_offset, is_live, received_at, stored_at
    FROM {{database}}.v_ledger_entries
    WHERE raw_element = 0 AND read_as > 0 AND hour >= now() - INTERVAL 14 DAY
),
stretches AS
(
    SELECT
        raw_partition,
        intDiv(raw_offset, 1024) AS stretch,
        min(raw_offset) AS first,
        max(raw_offset) AS last,
        groupBitmapState(toUInt16(raw_offset % 1024)) AS known,
        groupBitmapStateIf(toUInt16(raw_offset % 1024), is_live) AS live,
        min(received_at) AS received,
        min(stored_at) AS stored
    FROM bodies
    GROUP BY raw_partition, stretch
),
followed AS
(
    SELECT
        *,
        leadInFrame(first) OVER (
            PARTITION BY raw_partition ORDER BY stretch ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS next_first,
        last - first + 1 > bitmapCardinality(known) AS has_gaps,
        arrayMap(place -> stretch * 1024 + place, if(has_gaps, arraySort(bitmapToArray(known)), [])) AS places,
        arrayConcat(
            arrayFilter(pair -> pair.2 > pair.1 + 1, arrayZip(arrayPopBack(places), arrayPopFront(places))),
            if(next_first > last + 1, [(last, next_first)], [])
        ) AS gaps
    FROM stretches
)
SELECT
    'calls.raw' AS topic,
    f.raw_partition AS raw_partition,
    tupleElement(gap, 1) + 1 AS raw_offset,
    tupleElement(gap, 2) - 1 AS raw_offset_last,
    -1 AS raw_element,
    'missing' AS reason,
    '' AS vendor,
    '' AS account,
    f.received AS received_at,
    dateDiff('second', f.stored, now()) AS open_s
FROM followed AS f
ARRAY JOIN f.gaps AS gap
WHERE bitmapContains(f.live, toUInt16(tupleElement(gap, 1) % 1024))
UNION ALL
SELECT
    'calls.raw',
    raw_partition,
    raw_offset,
    raw_offset,
    raw_element,
    if(outcome = 'waiting', 'not joined', 'unaccounted'),
    vendor,
    account,
    received_at,
    dateDiff('second', stored_at, now())
FROM {{database}}.v_ledger_entries
WHERE outcome IN ('waiting', 'unaccounted') AND read_as > 0
COMMENT 'Raw coordinates that do not balance: elements of which nothing came, and stretches of offsets that no worker read';

ALTER TABLE {{database}}.v_ledger {{on_cluster}}
    COMMENT COLUMN account 'configured account whose address let the body in; empty for none',
    COMMENT COLUMN hour 'hour of receipt (UTC)',
    COMMENT COLUMN bodies 'records of calls.raw, those that were sent again among them',
    COMMENT COLUMN elements 'what their bodies were split into, errors of pages among them',
    COMMENT COLUMN facts 'new contents of records, state events and bindings',
    COMMENT COLUMN duplicates 'a content that is known, at another place of calls.raw',
    COMMENT COLUMN dead 'dead letters of normalise and of join; one whose fact was joined later is no longer counted',
    COMMENT COLUMN filtered 'what nobody wants, and what is of an erased account',
    COMMENT COLUMN waiting 'facts that are not joined yet, for ten minutes at most',
    COMMENT COLUMN unseen 'facts of an upgrade or a replay that are joined by a worker that kept no ledger, or not yet',
    COMMENT COLUMN difference 'elements that are in no other column: must be 0; v_ledger_open has their coordinates';

ALTER TABLE {{database}}.v_ledger_entries {{on_cluster}}
    COMMENT COLUMN read_as 'version of the entry of normalise: see the table ledger; 0: there is none',
    COMMENT COLUMN joined_as 'version of the entry of join; 0: there is none',
    COMMENT COLUMN is_live 'whether entries that are missing beside this one say something',
    COMMENT COLUMN outcome 'fact, duplicate, dead, filtered, empty (a body without elements), waiting, unseen or unaccounted',
    COMMENT COLUMN stored_at 'when ClickHouse first had it, as far as that is known';

ALTER TABLE {{database}}.v_ledger_open {{on_cluster}}
    COMMENT COLUMN raw_offset 'offset on calls.raw; of a gap its first',
    COMMENT COLUMN raw_offset_last 'the same; of a gap its last',
    COMMENT COLUMN raw_element 'index in the body; -1 for whole records',
    COMMENT COLUMN reason 'missing: no worker read these records, although the one before them was read; not joined: a fact of which join said nothing; unaccounted: an element of which normalise made nothing',
    COMMENT COLUMN received_at 'receipt; of a gap that of a body among the thousand around it',
    COMMENT COLUMN open_s 'seconds since it was stored; of a gap at most so many. What is open for some seconds is on its way';
