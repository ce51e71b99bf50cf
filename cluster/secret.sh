#!/bin/bash
# Prints one setting that has a password in it, made from the files below /run/secrets: Airflow runs this for its own
# settings (AIRFLOW__..._CMD; an end of line would become a part of the setting), Bascule for the ledger's
# (BASCULE_LEDGER_CMD). So no password stands in a process's environment, in its command line or in what
# `docker inspect` shows.
set -euo pipefail
from() { cat "/run/secrets/$1"; }

database=${BASCULE_DATABASE:-postgres}
case "$1" in
  database) printf %s "postgresql+psycopg2://airflow:$(from postgres_password)@$database/airflow${BASCULE_DATABASE_OPTIONS:-}" ;;
  results) printf %s "db+postgresql+psycopg2://airflow:$(from postgres_password)@$database/airflow${BASCULE_DATABASE_OPTIONS:-}" ;;
  ledger) printf %s "postgresql+psycopg2://bascule:$(from ledger_password)@$database/bascule${BASCULE_DATABASE_OPTIONS:-}" ;;
  broker) printf %s "${BASCULE_BROKER_SCHEME:-redis}://:$(from redis_password)@${BASCULE_BROKER:-redis:6379}/0${BASCULE_BROKER_OPTIONS:-}" ;;
  *) echo "secret.sh: there is no setting $1" >&2; exit 2 ;;
esac
