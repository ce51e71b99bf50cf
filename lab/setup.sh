#!/bin/bash
# Installs what is missing on this machine: Debian packages (none of their services is started) and the Python
# environment in .venv. Safe to run again; does nothing when all is there. Arguments: more lists of Debian packages.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

refuse() { echo "bascule: $*" >&2; exit 2; }

[ "$(id -u)" = 0 ] || refuse "the practice site boots real hosts and needs root: run make as root (sudo make ...)"
command -v apt-get >/dev/null || refuse "there is no apt-get here; the practice site needs Debian 12 (or a relative with apt)"
unshare --net --mount true 2>/dev/null || refuse "this machine allows no network namespaces (is it a container without privileges?): use a real or a virtual machine"

packages=$(cat lab/packages.txt tests/packages.txt "$@" 2>/dev/null | sed 's/#.*//' | tr -s ' \t\n' ' ')
command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3 python3-venv"
missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
  echo "installing Debian packages:$missing"
  # Services that come with packages belong to the lab's hosts, not to this machine.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # shellcheck disable=SC2086
  { apt-get -q -o DPkg::Lock::Timeout=300 update &&
    apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install $missing; } >"$log" 2>&1 ||
    { tail -20 "$log" >&2; refuse "apt-get could not install:$missing (its last words stand above)"; }
  rm -f "$log"
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || refuse "python3 is older than 3.11: Debian 12 brings 3.11"
stamp=.venv/.installed-$(cat requirements.txt requirements-dev.txt lab/uv.txt | sha256sum | cut -c1-16)
if [ ! -e "$stamp" ]; then
  echo "installing Python packages into .venv"
  [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || { rm -rf .venv; python3 -m venv .venv; }
  install=(--require-hashes -r requirements.txt -r requirements-dev.txt)
  # uv is many times faster; pip is the way where uv can't reach the registry as pip is set up to.
  { .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r lab/uv.txt &&
    .venv/bin/uv pip install -q --python .venv/bin/python "${install[@]}"; } ||
    .venv/bin/python -m pip install -q --disable-pip-version-check "${install[@]}" ||
    refuse "pip could not install requirements.txt (its words stand above): is the package registry reachable?"
  .venv/bin/python -m compileall -q -j 2 .venv/lib > /dev/null || true # a package may carry templates that are no Python
  rm -f .venv/.installed-*
  touch "$stamp"
fi
# Where PYTHONDONTWRITEBYTECODE is set, every process would compile every module again: two thirds of a short pass.
.venv/bin/python -m compileall -q plugins dags lab
