# shellcheck shell=bash
# What the scripts here share; they source it.

# The file in which steps leave their names and times; the script that is started first makes and prints it.
export IMGVOL_CI_STEPS="${IMGVOL_CI_STEPS:-}"

step() { # step NAME COMMAND…: run a command, and note how long it took and how it ended
  local name=$1 began=$SECONDS code=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || code=$?
  printf '%4d:%02d  %s%s\n' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "$name" \
    "$([ "$code" -eq 0 ] || echo " (failed: $code)")" >>"${IMGVOL_CI_STEPS:-/dev/null}"
  return "$code"
}

retry() { # retry COMMAND…: for what uses the network, three times at most
  local attempt
  for attempt in 1 2 3; do
    "$@" && return
    [ "$attempt" -eq 3 ] || { echo "failed; once more in $((attempt * 5)) s: $*" >&2; sleep $((attempt * 5)); }
  done
  return 1
}

packages() { # packages PACKAGE…: have Debian's packages installed, or say which are missing
  echo "installing: $*"
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "please install $* (as root: apt-get install $*) and run this again" >&2
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  retry apt-get update -qq && retry apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}
