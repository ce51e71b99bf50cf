#!/bin/bash
# The service `cleaner`: once a day it removes logs and rows of Airflow's own database that are older than
# BASCULE_KEEP_DAYS. The ledger and the reports are never touched. On a machine that has nothing but workers there is
# no database to clean (BASCULE_CLEAN=logs).
set -uo pipefail
days=${BASCULE_KEEP_DAYS:?}
[[ $days =~ ^[1-9][0-9]{0,4}$ ]] || { echo "cleaner: BASCULE_KEEP_DAYS is \"$days\" in .env: write a number of days" >&2; exit 1; }

clean() {
  find /opt/bascule/logs -type f -mtime "+$days" -delete
  find /opt/bascule/logs -mindepth 1 -type d -empty -mtime "+$days" -delete
  [ "${BASCULE_CLEAN:-all}" = all ] || return 0
  airflow db clean --clean-before-timestamp "$(date --utc --date="-$days days" +%FT%TZ)" --skip-archive --yes
}

if [ "${1:-}" = now ]; then clean; exit; fi
trap 'exit 0' TERM
while :; do
  touch /tmp/cleaned # before the first cleaning: the check of health asks whether this loop goes round
  sleep "$(($(date --date='tomorrow 02:30' +%s) - $(date +%s)))" & wait $!
  clean || echo "cleaner: not everything could be removed; it is tried again tomorrow" >&2
done
