#!/bin/bash
# `make check-site`: says every error of site.yaml. Needs Python 3.11 and pip's registry; no engine, no .env, no root.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

[ -e site.yaml ] || { echo "bascule: there is no site.yaml yet: cp include/site.example.yaml site.yaml" >&2; exit 1; }
python=.venv/bin/python # of `make setup`
if [ ! -x "$python" ]; then
  python=var/check-site/bin/python
  if ! "$python" -c 'import jinja2, pydantic, yaml' 2> /dev/null; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "bascule: python3 is older than 3.11" >&2; exit 1; }
    python3 -m venv var/check-site
    needed='^(annotated-types|jinja2|markupsafe|pydantic|pydantic-core|typing-extensions|typing-inspection|pyyaml)=='
    awk -v needed="$needed" '/^[a-z]/ { wanted = $1 ~ needed } wanted' requirements.txt > var/check-site/requirements.txt
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement var/check-site/requirements.txt
  fi
fi
PYTHONPATH=plugins "$python" -m bascule.site site.yaml
chmod a+r site.yaml # the containers' user reads it
