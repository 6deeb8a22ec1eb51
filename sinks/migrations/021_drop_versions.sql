-- The tables of before, whose rows are all in those of 019: their numbers were compared.
-- each: table=cdr_versions table=call_events_versions table=timelines_versions table=bindings_versions
DROP TABLE IF EXISTS {{database}}.{{value}} {{on_cluster}} SYNC SETTINGS max_table_size_to_drop = 0;

DROP TABLE IF EXISTS {{database}}.{{value}}_local {{on_cluster}} SYNC SETTINGS max_table_size_to_drop = 0;
