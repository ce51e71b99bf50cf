#!/bin/bash
# Prints one setting that has a password in it, made from the files below /run/secrets: Airflow runs this for its own
# settings (AIRFLOW__..._CMD; an end of line would become a part of the setting), Bascule for the ledger's
# (BASCULE_LEDGER_CMD). So no password stands in a process's environment, in its command line or in what
# `docker inspect` shows.
set -euo pipefail
shopt -s inherit_errexit # a file that can't be read is no empty password

# A password of one's own may have any character: what means something in a URL is written as its bytes (`@`: %40).
from() {
  local LC_ALL=C text place byte
  text=$(cat "/run/secrets/$1")
  for ((place = 0; place < ${#text}; place++)); do
    byte=${text:place:1}
    case $byte in
      [a-zA-Z0-9._~-]) printf %s "$byte" ;;
      *) printf '%%%02X' $(($(printf %d "'$byte") & 255)) ;;
    esac
  done
}

database=${BASCULE_DATABASE:-postgres}
options=${BASCULE_DATABASE_OPTIONS:-}
case "$1" in
  database | results) password=$(from postgres_password) ;;
  ledger) password=$(from ledger_password) ;;
  broker) password=$(from redis_password) ;;
  *) echo "secret.sh: there is no setting $1" >&2; exit 2 ;;
esac
case "$1" in
  database) printf %s "postgresql+psycopg2://airflow:$password@$database/airflow$options" ;;
  results) printf %s "db+postgresql+psycopg2://airflow:$password@$database/airflow$options" ;;
  ledger) printf %s "postgresql+psycopg2://bascule:$password@$database/bascule$options" ;;
  broker) printf %s "${BASCULE_BROKER_SCHEME:-redis}://:$password@${BASCULE_BROKER:-redis:6379}/0${BASCULE_BROKER_OPTIONS:-}" ;;
esac
