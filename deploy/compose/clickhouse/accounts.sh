#!/bin/bash
# Runs once, on an empty ClickHouse: the accounts and rights of deploy/OPERATIONS.md, with the passwords of make-secrets.
set -euo pipefail
password() { cat "/run/secrets/clickhouse-$1"; }
clickhouse-client --user "$CLICKHOUSE_USER" --password "$(password admin)" --multiquery <<SQL
CREATE DATABASE IF NOT EXISTS calls;

CREATE USER callweave IDENTIFIED WITH sha256_password BY '$(password writer)';
GRANT SHOW TABLES, SELECT, INSERT ON calls.* TO callweave;

CREATE USER callweave_migrator IDENTIFIED WITH sha256_password BY '$(password migrator)';
GRANT SHOW TABLES, SHOW COLUMNS, SELECT, CREATE DATABASE ON calls.* TO callweave_migrator;
GRANT CREATE TABLE, CREATE VIEW, ALTER, DROP TABLE, DROP VIEW ON calls.* TO callweave_migrator;
GRANT SET DEFINER ON callweave_migrator TO callweave_migrator;
GRANT TABLE ENGINE ON ReplacingMergeTree TO callweave_migrator;

CREATE USER callweave_reader IDENTIFIED WITH sha256_password BY '$(password reader)' SETTINGS readonly = 2, additional_table_filters CONST;
GRANT SHOW DATABASES ON calls.* TO callweave_reader;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_* TO callweave_reader;

CREATE USER callweave_analyst IDENTIFIED WITH sha256_password BY '$(password analyst)' SETTINGS readonly = 2, additional_table_filters CONST;
GRANT SHOW DATABASES ON calls.* TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.masked_* TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_kpi_5m* TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_kpi_hour* TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_kpi_day* TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_charges_day TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_prefixes TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_reconciliations TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_reconciled_records TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_conferences TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_causes TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_concurrency TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_vendor_quality TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_vendor_flags TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_silent_vendors TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_ledger TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_ledger_open TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_push_pull TO callweave_analyst;
GRANT SHOW TABLES, SHOW COLUMNS, SELECT ON calls.v_kpi_redials TO callweave_analyst;
SQL
