#!/usr/bin/env bash
# Run a command in a copy of this checkout as an ordinary user: no root, no capabilities, no Docker.
#
#   tests/as-ordinary-user.sh make conformance
set -euo pipefail
[ "$#" -gt 0 ] || { echo "usage: $0 COMMAND [ARG…]" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "$0 must be started by root, to become somebody else" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
uid=61234
home=$(mktemp -d "${TMPDIR:-/tmp}/ordinary-user.XXXXXX")
trap 'rm -rf "$home"' EXIT
git -C "$top" ls-files -z --cached --others --exclude-standard | (cd "$top" && tar --null -T - -cf -) | tar -C "$home" -xf -
# What is built already is built the same way for everybody.
[ ! -d "$top/build/bin" ] || { mkdir -p "$home/build" && cp -a "$top/build/bin" "$home/build/bin"; }
chown -R "$uid:$uid" "$home"
cd "$home"
setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
  env -i HOME="$home" PATH="$PATH" LANG=C.UTF-8 TMPDIR=/tmp \
  ${PIP_FIND_LINKS:+PIP_FIND_LINKS="$PIP_FIND_LINKS"} ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${PIP_CERT:+PIP_CERT="$PIP_CERT"} \
  "$@"
