#!/bin/bash
# Run in the Docker machine's filesystem, once: fills the engine's store. The engine touches no network but to fetch.
set -euo pipefail
dockerd --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false > /var/log/dockerd.log 2>&1 &
engine=$!
until docker info > /dev/null 2>&1; do
  kill -0 "$engine" 2> /dev/null || { tail -5 /var/log/dockerd.log; exit 1; }
  sleep 0.5
done

jq --compact-output '.[]' /bases.json | while read -r base; do
  name=$(jq --raw-output '.[1]' <<< "$base")
  mapfile -t changes < <(jq --raw-output '.[2:][]' <<< "$base")
  tar -C "/bases/$(jq --raw-output '.[0]' <<< "$base")" --exclude=./var/cache/apt/archives/*.deb -c . |
    docker import "${changes[@]/#/--change=}" - "$name"
done

cp -a /checkout /tmp/checkout
cd /tmp/checkout
docker compose --env-file .env.example --progress plain build
kill "$engine"
wait "$engine" || true
