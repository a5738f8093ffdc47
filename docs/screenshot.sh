#!/usr/bin/env bash
# Makes docs/report.png: the report of a run as containerd 2.1 compared with one as containerd 2.3, in Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v chromium >/dev/null || {
  echo "needs a browser: apt-get install chromium" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
runtimes=(containerd-2.3 containerd-2.1)
for runtime in "${runtimes[@]}"; do
  # The older runtime ignores subPath, so that claims fail: that is what there is to see.
  pytest conformance -q --runtime "$runtime" --report "$work/$runtime" || [ -f "$work/$runtime/results.json" ]
done
imgvol report "$work/containerd-2.1/results.json" --baseline "$work/containerd-2.3/results.json" \
  --html "$work/report.html" >/dev/null || [ -f "$work/report.html" ]
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
  --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
  --user-data-dir="$work/profile" --window-size=1100,1000 --virtual-time-budget=2000 \
  --screenshot="$work/report.png" "file://$work/report.html"
[ "$(stat -c %s "$work/report.png")" -lt 200000 ] || {
  echo "the screenshot is 200 kB or more" >&2
  exit 1
}
mv "$work/report.png" docs/report.png
