#!/bin/bash
# The one-shot service `init`: looks at the machine and the files, then makes or upgrades Airflow's tables and the
# ledger's, the pool that limits how many mailboxes are copied at the same time, and the first user. Every
# `docker compose up` runs it again; what is there already stays as it is.
set -euo pipefail
shopt -s nullglob

wrong=0
refuse() { echo "bascule: $*" >&2; wrong=1; }

cores=$(nproc)
memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
disk=$(df --output=avail --block-size=1M /opt/bascule/logs | tail -1 | tr -d ' ')
[ "$cores" -ge 2 ] || refuse "this machine has $cores core: the cluster needs 2"
[ "$memory" -ge 5500 ] || refuse "this machine has $memory MB of memory: the cluster needs 6 GB, better 8"
[ "$disk" -ge 2000 ] || refuse "the disk of Docker's volumes has $disk MB left: the cluster needs 2 GB, better 20"
for file in /opt/bascule/site.yaml /opt/bascule/certificates/*.pem /run/secrets/*; do
  [ -r "$file" ] || refuse "$file can't be read by the containers' user: run cluster/secrets.sh again, it mends that"
done
for file in /run/secrets/*; do
  [ -f "$file" ] || refuse "secrets/${file##*/} is no file (a directory of this name is Docker's work): remove it and run cluster/secrets.sh again"
  [ ! -f "$file" ] || [ -s "$file" ] || refuse "secrets/${file##*/} is empty: write its value into it, or remove it and run cluster/secrets.sh again"
done
# A task that waits in the queue of a worker which has no place for it is taken for lost after a minute, again and again.
tasks=${BASCULE_TASKS_AT_ONCE:-32} here=${BASCULE_WORKERS:-2} elsewhere=${BASCULE_WORKERS_ELSEWHERE:-0}
each=${AIRFLOW__CELERY__WORKER_CONCURRENCY:-16} mailboxes=${BASCULE_MAILBOXES_AT_ONCE:-8}
if ! [[ "$tasks $here $elsewhere" =~ ^[1-9][0-9]{0,4}(\ (0|[1-9][0-9]{0,2})){2}$ ]]; then
  refuse "BASCULE_TASKS_AT_ONCE, BASCULE_WORKERS and BASCULE_WORKERS_ELSEWHERE are \"$tasks\", \"$here\" and \"$elsewhere\" in .env: write whole numbers"
elif [ "$tasks" -gt $((each * (here + elsewhere))) ]; then
  refuse "BASCULE_TASKS_AT_ONCE is $tasks in .env, and $((here + elsewhere)) worker(s) have places for $((each * (here + elsewhere))), $each each: write that number, or more BASCULE_WORKERS (with workers on other machines, how many they are: BASCULE_WORKERS_ELSEWHERE)"
elif ! [[ "$mailboxes" =~ ^[1-9][0-9]{0,4}$ ]]; then
  refuse "BASCULE_MAILBOXES_AT_ONCE is \"$mailboxes\" in .env: write a whole number"
elif [ "$mailboxes" -gt "$tasks" ]; then
  refuse "BASCULE_MAILBOXES_AT_ONCE is $mailboxes in .env, and no more than $tasks tasks run at once: write $tasks or less, or more BASCULE_TASKS_AT_ONCE, with the BASCULE_WORKERS for them"
fi
[ -f /opt/bascule/site.yaml ] && [ -s /opt/bascule/site.yaml ] || refuse "there is no site.yaml beside docker-compose.yaml (a directory of this name is Docker's work: remove it)"
[ "$wrong" = 0 ] || exit 1

python /opt/bascule/cluster/ledger.py
airflow db migrate
python -m bascule.ledger upgrade
airflow pools set mailboxes "$mailboxes" "mailboxes that are copied at the same time"
# `airflow users create` asks for the password twice; given there, it stands in no process list.
password=$(cat /run/secrets/admin_password)
printf '%s\n%s\n' "$password" "$password" |
  airflow users create --role Admin --username "$BASCULE_ADMIN" --email "$BASCULE_ADMIN_EMAIL" \
    --firstname Bascule --lastname Postmaster
