#!/bin/bash
# Takes an archive of cluster/backup.sh back, on this machine or a new one with the same checkout: files, databases,
# reports. What is there of them is replaced. The cluster must be down; afterwards: docker compose up --build --detach
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
umask 077

refuse() { echo "bascule: $*" >&2; exit 1; }
[ -f "${1:-}" ] || refuse "name the archive: cluster/restore.sh backups/bascule-....tar"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -C "$work" -xf "$1" || refuse "$1 is no whole archive: nothing was changed"
for part in bascule.dump airflow.dump site.yaml .env secrets; do
  [ -e "$work/$part" ] || refuse "$1 has no $part: nothing was changed"
done
[ -z "$(docker compose ps --quiet 2> /dev/null)" ] || refuse "the cluster runs: docker compose down"

cp -a "$work/site.yaml" "$work/.env" "$work/secrets" .
cp -a "$work/certificates/." cluster/certificates/
cluster/secrets.sh
docker compose up --detach --wait postgres
docker compose exec -T postgres psql --quiet --username airflow --dbname airflow <<'SQL'
\set airflow `cat /run/secrets/postgres_password`
\set bascule `cat /run/secrets/ledger_password`
ALTER ROLE airflow PASSWORD :'airflow';
ALTER ROLE bascule PASSWORD :'bascule';
SQL
for database in bascule airflow; do
  docker compose exec -T postgres dropdb --username airflow --maintenance-db postgres --force --if-exists "$database"
  docker compose exec -T postgres createdb --username airflow --maintenance-db postgres --owner "$database" "$database"
  docker compose exec -T postgres pg_restore --username airflow --dbname "$database" --exit-on-error < "$work/$database.dump"
done
docker compose exec -T postgres psql --quiet --username airflow --dbname airflow \
  --command 'REVOKE ALL ON DATABASE bascule FROM PUBLIC'
docker compose build --quiet
docker compose run --rm --no-deps --no-TTY --entrypoint tar worker -C /opt/bascule -x < <(tar -C "$work" -c reports)
docker compose down
echo "restored from $1: docker compose up --build --detach"
