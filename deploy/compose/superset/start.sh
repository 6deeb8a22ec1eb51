#!/bin/sh
# Prepares Superset's own database, imports the dashboards, makes the user who may look at them, and serves. The login of
# this start is in the file `progress` of its volume: docker compose exec superset cat /app/superset_home/progress
set -eu
rm -f /app/superset_home/progress
cd /app/callweave
exec /app/.venv/bin/python serve.py --home /app/superset_home --address 0.0.0.0:8088 \
  --clickhouse clickhouse:8123 --password-file /run/secrets/clickhouse-analyst
