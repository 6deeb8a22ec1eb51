#!/bin/sh
# Makes Superset's own database at the first start; then `docker compose exec superset superset fab create-admin`.
set -eu
SUPERSET_SECRET_KEY="$(cat "$SUPERSET_SECRET_KEY_FILE")"
export SUPERSET_SECRET_KEY
superset db upgrade
superset init
exec /usr/bin/run-server.sh
