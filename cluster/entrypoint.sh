#!/bin/bash
# The image's entrypoint: a command of Airflow's, with or without the word `airflow`, or a shell or Python as Airflow's
# Helm chart asks for them. `airflow` in such a shell is this file too (cluster/bin).
[ "${1:-}" != airflow ] || shift
case "${1:-}" in
  bash | python) PATH=/opt/bascule/cluster/bin:$PATH exec "$@" ;;
  celery) exec python /opt/bascule/cluster/worker.py "$@" ;;
  scheduler) exec python /opt/bascule/cluster/scheduler.py "$@" ;;
  dag-processor) exec python /opt/bascule/cluster/dag_processor.py "$@" ;;
  *) exec /usr/local/bin/airflow "$@" ;;
esac
