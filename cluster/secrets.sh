#!/bin/bash
# Makes the files with the cluster's passwords and keys in `secrets/`, those that are missing; what is there stays.
# The directory is for its owner alone; the files in it can be read by everybody who gets in, which is the containers'
# users, each of whom is given only the files that it needs. Safe to run again; run it after any change of these files.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

umask 077
refuse() { echo "bascule: $*" >&2; exit 1; }
mkdir -p secrets
# Before anything is looked for in it: in a directory that can't be searched, every file seems to be missing.
chmod 700 secrets || refuse "secrets/ belongs to somebody else: run this as its owner ($(stat -c %U secrets)), or as root"
for file in secrets/*; do
  [ -e "$file" ] || [ -L "$file" ] || continue # there is none yet
  [ -f "$file" ] || refuse "$file is no file (Docker makes a directory where one is missing): remove it, or move it out of secrets/, and run this again"
  chmod u+r "$file" || refuse "$file belongs to somebody else: run this as its owner ($(stat -c %U "$file")), or as root"
done
make() { [ -s "secrets/$1" ] || { "$2" > "secrets/$1"; echo "made secrets/$1"; }; }
letters() { od -An -tx1 -N "${1:-32}" /dev/urandom | tr -d ' \n'; }
long() { letters 64; }
fernet() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }

# Databases and broker.
make postgres_password letters # PostgreSQL's user `airflow`, with Airflow's own database; fixed once its volume is made
make ledger_password letters   # PostgreSQL's user `bascule`, with the ledger; `init` sets a changed one
make redis_password letters    # through which the scheduler gives tasks to the workers
# Airflow's keys.
make fernet_key fernet         # encrypts the connections that are typed into the UI
make api_secret_key letters    # signs sessions, and the requests by which the UI reads the workers' logs
make jwt_secret long           # signs the tokens of people and tasks
# The first user's password.
make admin_password letters
make metrics_token letters     # with which a program, Prometheus for one, reads the metrics
# How the hosts are reached; `{}` means: only by connections that are typed into the UI.
[ -s secrets/connections.yaml ] || echo '{}' > secrets/connections.yaml

chmod 444 secrets/*
chmod u+w secrets/connections.yaml
for file in site.yaml cluster/certificates/*.pem; do
  [ ! -e "$file" ] || chmod a+r "$file"
done
chmod a+rx cluster/certificates cluster/create_ledger.sh
chmod a+r cluster/pg_hba.conf
