#!/bin/bash
# The one-shot service `init`: Airflow's tables, the pool that limits how many mailboxes are copied at the same time, and
# the first user. Every `docker compose up` runs it again; what is there already stays as it is.
set -euo pipefail

airflow db migrate
airflow pools set mailboxes "$BASCULE_MAILBOXES_AT_ONCE" "mailboxes that are copied at the same time"
# `airflow users create` asks for the password twice; given there, it stands in no process list.
printf '%s\n%s\n' "$BASCULE_ADMIN_PASSWORD" "$BASCULE_ADMIN_PASSWORD" |
  airflow users create --role Admin --username "$BASCULE_ADMIN" --email "$BASCULE_ADMIN_EMAIL" \
    --firstname Bascule --lastname Postmaster
