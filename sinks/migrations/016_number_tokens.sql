-- A token and a masked form beside every phone number: tokens join rows of one account without the number, the masked form is for
-- people. Both are made by the sink (sinks/rows.py) with `privacy.key`, which the database never sees. Rows of before have neither
-- until they are written again. Tokens are random to a compressor of repetitions, so ZSTD packs their digits. Who looks for a number
-- looks for its token: the indexes hold for rows that are written from now on, and for older ones when their parts are merged.
ALTER TABLE {{database}}.cdr_versions {{on_cluster}}
    ADD COLUMN IF NOT EXISTS from_token String CODEC(ZSTD(1))
        COMMENT 'stands for from_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS from_masked String
        COMMENT 'from_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS to_token String CODEC(ZSTD(1))
        COMMENT 'stands for to_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS to_masked String
        COMMENT 'to_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS display_token String CODEC(ZSTD(1))
        COMMENT 'stands for display_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS display_masked String
        COMMENT 'display_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS privacy_token String CODEC(ZSTD(1))
        COMMENT 'stands for privacy_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS privacy_masked String
        COMMENT 'privacy_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS `legs.number_token` Array(String) CODEC(ZSTD(1)) COMMENT 'of each leg''s number, as from_token',
    ADD COLUMN IF NOT EXISTS `legs.number_masked` Array(String) COMMENT 'of each leg''s number, as from_masked',
    ADD COLUMN IF NOT EXISTS `contents.from_token` Array(String),
    ADD COLUMN IF NOT EXISTS `contents.from_masked` Array(String),
    ADD COLUMN IF NOT EXISTS `contents.to_token` Array(String),
    ADD COLUMN IF NOT EXISTS `contents.to_masked` Array(String),
    ADD INDEX IF NOT EXISTS ix_from_token from_token TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS ix_to_token to_token TYPE bloom_filter(0.01) GRANULARITY 1;

ALTER TABLE {{database}}.call_events_versions {{on_cluster}}
    ADD COLUMN IF NOT EXISTS from_token String CODEC(ZSTD(1))
        COMMENT 'stands for from_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS from_masked String
        COMMENT 'from_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS to_token String CODEC(ZSTD(1))
        COMMENT 'stands for to_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS to_masked String
        COMMENT 'to_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS display_token String CODEC(ZSTD(1))
        COMMENT 'stands for display_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS display_masked String
        COMMENT 'display_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS leg_token String CODEC(ZSTD(1))
        COMMENT 'stands for leg_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS leg_masked String
        COMMENT 'leg_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD INDEX IF NOT EXISTS ix_from_token from_token TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS ix_to_token to_token TYPE bloom_filter(0.01) GRANULARITY 1;

ALTER TABLE {{database}}.timelines_versions {{on_cluster}}
    ADD COLUMN IF NOT EXISTS from_token String CODEC(ZSTD(1))
        COMMENT 'stands for from_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS from_masked String
        COMMENT 'from_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS to_token String CODEC(ZSTD(1))
        COMMENT 'stands for to_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS to_masked String
        COMMENT 'to_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS display_token String CODEC(ZSTD(1))
        COMMENT 'stands for display_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS display_masked String
        COMMENT 'display_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS privacy_token String CODEC(ZSTD(1))
        COMMENT 'stands for privacy_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS privacy_masked String
        COMMENT 'privacy_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS `legs.number_token` Array(String) CODEC(ZSTD(1)) COMMENT 'of each leg''s number, as from_token',
    ADD COLUMN IF NOT EXISTS `legs.number_masked` Array(String) COMMENT 'of each leg''s number, as from_masked',
    ADD INDEX IF NOT EXISTS ix_from_token from_token TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS ix_to_token to_token TYPE bloom_filter(0.01) GRANULARITY 1;

ALTER TABLE {{database}}.bindings_versions {{on_cluster}}
    ADD COLUMN IF NOT EXISTS from_token String CODEC(ZSTD(1))
        COMMENT 'stands for from_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS from_masked String
        COMMENT 'from_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS to_token String CODEC(ZSTD(1))
        COMMENT 'stands for to_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS to_masked String
        COMMENT 'to_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS display_token String CODEC(ZSTD(1))
        COMMENT 'stands for display_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS display_masked String
        COMMENT 'display_number for display, at least four digits hidden; empty: no number, or written before there were masked forms',
    ADD COLUMN IF NOT EXISTS privacy_token String CODEC(ZSTD(1))
        COMMENT 'stands for privacy_number in joins: equal for equal numbers of one account; empty: no number, or no key when it was written',
    ADD COLUMN IF NOT EXISTS privacy_masked String
        COMMENT 'privacy_number for display, at least four digits hidden; empty: no number, or written before there were masked forms';
