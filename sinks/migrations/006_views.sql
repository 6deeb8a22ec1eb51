-- The names that people query. Each view reads with FINAL, so that what was inserted twice, or an older version that came
-- later, never shows. No version of a row leaves its partition, so the partitions are merged apart from each other.
-- `cdr`, `call_events`, `timelines`, `bindings` and `dead_letters` show every column, restricted ones too: grant them to few.
-- `v_*` leave out the numbers as sent, recording addresses and original bytes.
CREATE OR REPLACE VIEW {{database}}.cdr {{on_cluster}} AS
SELECT * FROM {{database}}.cdr_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Call records, newest version each, every column. Restricted: numbers as sent and recording addresses';

CREATE OR REPLACE VIEW {{database}}.call_events {{on_cluster}} AS
SELECT * FROM {{database}}.call_events_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'State events, newest version each, every column';

CREATE OR REPLACE VIEW {{database}}.timelines {{on_cluster}} AS
SELECT * FROM {{database}}.timelines_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Calls, newest version each, every column. Restricted: numbers as sent and recording addresses';

CREATE OR REPLACE VIEW {{database}}.bindings {{on_cluster}} AS
SELECT * FROM {{database}}.bindings_versions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Binding snapshots, each once, every column. Restricted: numbers as sent';

CREATE OR REPLACE VIEW {{database}}.dead_letters {{on_cluster}} AS
SELECT * FROM {{database}}.dead_letters_versions FINAL
COMMENT 'Dead letters with their original bytes. Restricted';

CREATE OR REPLACE VIEW {{database}}.v_cdr {{on_cluster}} AS
SELECT
    * EXCEPT (from_raw, to_raw, display_raw, privacy_raw, `legs.number_raw`, recording_url),
    toBool(recording_url != '') AS has_recording
FROM {{database}}.cdr
COMMENT 'Call records, newest version each. Times are UTC; NULL is not known, 0 is zero';

CREATE OR REPLACE VIEW {{database}}.v_call_events {{on_cluster}} AS
SELECT * EXCEPT (from_raw, to_raw, display_raw) FROM {{database}}.call_events
COMMENT 'State events of legs: setup, alerting, answer, release. Times are UTC';

CREATE OR REPLACE VIEW {{database}}.v_timelines {{on_cluster}} AS
SELECT
    * EXCEPT (`legs.number_raw`, recording_url),
    toBool(recording_url != '') AS has_recording,
    coalesce(setup_at, alerting_at, answer_at, end_at, toDateTime64(first_received_at, 6, 'UTC')) AS started_at
FROM {{database}}.timelines
COMMENT 'One row per call, newest version. Times are UTC; NULL is not known, 0 is zero; started_at is never NULL: the first of setup, alerting, answer, end, received';

CREATE OR REPLACE VIEW {{database}}.v_bindings {{on_cluster}} AS
SELECT * EXCEPT (from_raw, to_raw, display_raw, privacy_raw)
FROM {{database}}.bindings
ORDER BY revised_at DESC NULLS LAST, version DESC, record_id DESC
LIMIT 1 BY vendor, account_id, if(binding_id = '', toString(record_id), binding_id)
COMMENT 'One row per number binding: its newest snapshot by the vendor''s own update clock';

CREATE OR REPLACE VIEW {{database}}.v_dead_letters {{on_cluster}} AS
SELECT * EXCEPT (original, headers), length(original) AS original_bytes FROM {{database}}.dead_letters
COMMENT 'Dead letters without the bytes';
