#!/bin/bash
# The image's entrypoint: a command of Airflow's, with or without the word `airflow`, or a shell or Python as Airflow's
# Helm chart asks for them.
[ "${1:-}" != airflow ] || shift
case "${1:-}" in
  bash | python) exec "$@" ;;
  celery) exec python /opt/bascule/cluster/worker.py "$@" ;;
  scheduler) exec python /opt/bascule/cluster/scheduler.py "$@" ;;
  *) exec airflow "$@" ;;
esac
