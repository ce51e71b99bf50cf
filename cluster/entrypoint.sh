#!/bin/bash
# The image's entrypoint: a command of Airflow's, with or without the word `airflow`, or a shell or Python as Airflow's
# Helm chart asks for them.
case "${1:-}" in
  airflow | bash | python) exec "$@" ;;
  *) exec airflow "$@" ;;
esac
