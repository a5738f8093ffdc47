#!/usr/bin/env bash
# shellcheck disable=SC2317 # functions that `step` runs
# docker.sh COMMAND…: run a command with a Docker daemon, and exit as it does. A daemon that answers is used as it is.
# Otherwise root gets one on Debian: docker.io is installed if need be, dockerd started, and stopped again afterwards.
# Where none is to be had, it says why and exits with status 69.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/lib.sh
log=${IMGVOL_CI_LOGS:-build/ci}/dockerd.log

cannot() { # cannot WHY
  printf 'Docker cannot be had: %s.\nWithout it nothing says that the suite holds on a real node.' "$1" >&2
  echo ' To go without on this machine: IMGVOL_WITHOUT_DOCKER=1 .ci/run' >&2
  exit 69
}

answers() { timeout 20 docker version >/dev/null 2>&1; }

start() {
  mkdir -p "$(dirname "$log")"
  # A session of its own: Ctrl-C is for us, who stop it when the rest has been cleaned up.
  setsid dockerd >"$log" 2>&1 </dev/null &
  daemon=$!
  trap stop EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  local tries
  for ((tries = 0; tries < 120; tries++)); do
    ! answers || return 0
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.5
  done
  { echo "The last that dockerd said, of $log:"; tail -n 20 "$log" | sed 's/^/  /'; } >&2
  ! kill -0 "$daemon" 2>/dev/null || cannot 'dockerd was started and does not answer'
  cannot 'dockerd ended instead of answering'
}

stop() {
  kill -TERM "$daemon" 2>/dev/null || return 0
  timeout 60 tail --pid="$daemon" -f /dev/null || kill -KILL "$daemon"
}

if ! answers; then
  [ -z "${DOCKER_HOST:-}" ] || cannot "no daemon answers at DOCKER_HOST=$DOCKER_HOST"
  [ "$(id -u)" -eq 0 ] || cannot 'no daemon answers, and only root may start one'
  if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    step 'install Docker' packages docker.io apparmor || cannot 'docker.io could not be installed'
  fi
  answers || step 'start dockerd' start
fi
code=0
"$@" || code=$?
exit "$code"
