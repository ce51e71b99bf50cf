#!/bin/bash
# Makes the files with the cluster's passwords and keys in `secrets/`, those that are missing; what is there stays.
# The directory is for its owner alone; the files in it can be read by everybody who gets in, which is the containers'
# users, each of whom is given only the files that it needs. Safe to run again; run it after any change of these files.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

umask 077
mkdir -p secrets
chmod 700 secrets
make() { [ -s "secrets/$1" ] || { "$2" > "secrets/$1"; echo "made secrets/$1"; }; }
letters() { od -An -tx1 -N "${1:-32}" /dev/urandom | tr -d ' \n'; }
long() { letters 64; }
fernet() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }

# Databases and broker. They are fixed when their volume is first made.
make postgres_password letters # PostgreSQL's user `airflow`, with Airflow's own database
make ledger_password letters   # PostgreSQL's user `bascule`, with the ledger
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
