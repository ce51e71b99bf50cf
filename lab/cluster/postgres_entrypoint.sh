#!/bin/bash
# What the cluster's files use of the entrypoint of the image `postgres`: a new volume gets a database and a user by
# POSTGRES_DB, POSTGRES_USER and POSTGRES_PASSWORD_FILE, and is handed to /docker-entrypoint-initdb.d while PostgreSQL
# listens on its socket only.
set -euo pipefail
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  pg_ctl --options="-c listen_addresses=''" --wait start
  psql --username "$POSTGRES_USER" --dbname postgres --command "CREATE DATABASE \"$POSTGRES_DB\""
  for script in /docker-entrypoint-initdb.d/*.sh; do
    "$script"
  done
  pg_ctl --mode=fast --wait stop
fi
exec "$@"
