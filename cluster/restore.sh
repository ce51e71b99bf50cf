#!/bin/bash
# Takes an archive of cluster/backup.sh back, on this machine or a new one with the same checkout: files, databases,
# reports. What is there of them is replaced. The cluster must be down; afterwards: docker compose up --build --detach
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
umask 077

refuse() { echo "bascule: $*" >&2; exit 1; }
[ -f "${1:-}" ] || refuse "name the archive: cluster/restore.sh backups/bascule-....tar"
mkdir -p backups
work=$(mktemp -d -p backups) # /tmp may be memory
trap 'rm -rf "$work"' EXIT
tar -C "$work" -xf "$1" || refuse "$1 is no whole archive: nothing was changed"
for part in bascule.dump airflow.dump site.yaml .env secrets; do
  [ -e "$work/$part" ] || refuse "$1 has no $part: nothing was changed"
done
for database in bascule airflow; do
  [ "$(head -c 5 "$work/$database.dump" | tr -d '\0')" = PGDMP ] ||
    refuse "$database.dump in $1 is no dump of PostgreSQL: nothing was changed"
done
docker compose version > /dev/null || refuse "Docker's Compose can't be run: nothing was changed"
[ -z "$(docker compose ps --quiet 2> /dev/null)" ] || refuse "the cluster runs: docker compose down"

# By force: what is there of the secrets is read-only, also for its owner.
cp -af "$work/site.yaml" "$work/.env" "$work/secrets" .
[ ! -e "$work/docker-compose.override.yaml" ] || cp -af "$work/docker-compose.override.yaml" .
cp -af "$work/certificates/." cluster/certificates/
cluster/secrets.sh
docker compose up --detach --wait postgres
docker compose exec -T postgres psql --quiet --set ON_ERROR_STOP=1 --username airflow --dbname airflow <<'SQL'
\set airflow `cat /run/secrets/postgres_password`
\set bascule `cat /run/secrets/ledger_password`
SELECT 'CREATE ROLE bascule LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bascule') \gexec
ALTER ROLE airflow PASSWORD :'airflow';
ALTER ROLE bascule PASSWORD :'bascule';
SQL
in_postgres() { docker compose exec -T postgres "$1" --username airflow "${@:2}"; }
# Beside what is there, which goes only when all of the archive could be read.
for database in bascule airflow; do
  in_postgres dropdb --maintenance-db postgres --force --if-exists "restored_$database"
  in_postgres createdb --maintenance-db postgres --owner "$database" "restored_$database"
  in_postgres pg_restore --dbname "restored_$database" --exit-on-error < "$work/$database.dump" ||
    refuse "$database.dump in $1 can't be read to its end: the databases are as they were; the files are the archive's"
done
for database in bascule airflow; do
  in_postgres dropdb --maintenance-db postgres --force --if-exists "$database"
  in_postgres psql --quiet --dbname postgres --command "ALTER DATABASE restored_$database RENAME TO $database"
done
in_postgres psql --quiet --dbname airflow --command 'REVOKE ALL ON DATABASE bascule FROM PUBLIC'
docker compose build --quiet
docker compose run --rm --no-deps --no-TTY --entrypoint tar worker -C /opt/bascule -x < <(tar -C "$work" -c reports)
docker compose down
echo "restored from $1: docker compose up --build --detach"
