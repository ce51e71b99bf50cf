#!/bin/bash
# Saves what can't be made again, from the running cluster: the ledger, Airflow's own database, the reports, the site
# file, passwords and keys. One archive in backups/, for its owner alone; cluster/restore.sh takes it back.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
umask 077

for file in secrets secrets/*; do
  [ -r "$file" ] && { [ ! -d "$file" ] || [ -x "$file" ]; } && continue
  echo "bascule: $file can't be read: run cluster/secrets.sh, which mends that where it is yours, or this as $(stat -c %U "$file" 2> /dev/null || echo root)" >&2
  exit 1
done
name=bascule-$(date +%Y%m%d-%H%M%S)
mkdir -p backups
work=$(mktemp -d -p backups) # /tmp may be memory
trap 'rm -rf "$work" "backups/$name.tar.partial"' EXIT
for database in bascule airflow; do
  docker compose exec -T postgres pg_dump --username airflow --format custom "$database" > "$work/$database.dump"
done
docker compose cp --quiet worker:/opt/bascule/reports "$work/reports" 2> /dev/null ||
  docker compose cp worker:/opt/bascule/reports "$work/reports" > /dev/null
cp -a site.yaml .env secrets cluster/certificates "$work"
[ ! -e docker-compose.override.yaml ] || cp -a docker-compose.override.yaml "$work"
tar -C "$work" -cf "backups/$name.tar.partial" .
mv "backups/$name.tar.partial" "backups/$name.tar"
echo "backups/$name.tar"
