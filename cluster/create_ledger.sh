#!/bin/bash
# Run by the PostgreSQL image when its volume is new (later `init` sees to it, cluster/ledger.py): the ledger gets a database and a user of its own.
# psql reads the password from its file itself, so that it stands in no process list.
set -euo pipefail
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set password `cat /run/secrets/ledger_password`
CREATE ROLE bascule LOGIN PASSWORD :'password';
CREATE DATABASE bascule OWNER bascule;
REVOKE ALL ON DATABASE bascule FROM PUBLIC;
SQL
