#!/bin/bash
# Whether a service of the cluster does its work: exit status 0. It asks what the processes answer anyway (Airflow's own
# health page, a worker's log server) and looks at files that they touch, by bash alone: a check that starts a Python costs
# more than the work it watches.
set -euo pipefail

# HOST PORT PATH: the status line and the page.
page() {
  exec 3<>"/dev/tcp/$1/$2"
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" "$1" >&3
  timeout 8 cat <&3
}
# HOST PORT PATH PATTERN: a line of them has it. They are read to their end first: in a pipe, `grep -q` ends before it,
# and what still writes then fails, and the pipe with it.
has() { grep -q "$4" <<< "$(page "$1" "$2" "$3")"; }
# Airflow's health page says of each part when it last gave a sign of life.
part() { has api-server 8080 /api/v2/monitor/health "\"$1\":{\"status\":\"healthy\""; }
# FILE MINUTES: it was touched within them.
fresh() { [ -n "$(find "$1" -mmin "-$2" 2> /dev/null)" ]; }

case "$1" in
  api-server) has 127.0.0.1 8080 /api/v2/version '^HTTP/1.[01] 200' ;;
  scheduler) has 127.0.0.1 8974 /health '^HTTP/1.[01] 200' ;;
  dag-processor) part dag_processor ;;
  triggerer) part triggerer ;;
  worker) # its main process and the broker (cluster/worker.py), then its log server
    fresh /tmp/worker-alive 1 || { echo "no sign of life for a minute: the worker hangs, or can't reach Redis" >&2; exit 1; }
    has 127.0.0.1 8793 / '^HTTP/1.[01] '
    ;;
  cleaner) fresh /tmp/cleaned 1560 ;; # once a day
  *) echo "healthy.sh: there is no service $1" >&2; exit 2 ;;
esac
