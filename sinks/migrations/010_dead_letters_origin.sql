-- Offsets begin anew with a topic that is made anew, contents do not: a hash of the origin becomes the last part of a dead
-- letter's identity, so that no letter takes the place of an older one. Letters of before have an empty hash.
ALTER TABLE {{database}}.dead_letters_versions {{on_cluster}}
    ADD COLUMN IF NOT EXISTS origin_hash String COMMENT 'of the origin: bytes, time and what it replays',
    MODIFY ORDER BY (topic, partition, offset, element, stage, origin_hash);
