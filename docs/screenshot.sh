#!/usr/bin/env bash
# Makes docs/report.png: the report of a run on two node pools, compared with an earlier run, in Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v chromium >/dev/null || {
  echo "needs a browser: apt-get install chromium" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# judge NAME AZURELINUX UBUNTU: a run in which each pool plays a runtime, as an AKS node image of that name has it.
judge() {
  pytest conformance -q --report "$work/$1" --pool "azurelinux=$2,os-sku=AzureLinux" --pool "ubuntu=$3,os-sku=Ubuntu" ||
    [ -f "$work/$1/results.json" ] # claims fail on containerd 2.1, which ignores subPath: that is what there is to see
}
judge before containerd-2.2,node-image=AKSAzureLinux-V3gen2-202606.08.1 containerd-2.2,node-image=AKSUbuntu-2404gen2containerd-202606.08.1
judge after containerd-2.1,node-image=AKSAzureLinux-V3gen2-202605.05.1 containerd-2.3,node-image=AKSUbuntu-2404gen2containerd-202607.09.0

imgvol report "$work/after/results.json" --baseline "$work/before/results.json" --html "$work/report.html" >/dev/null ||
  [ -f "$work/report.html" ]
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
  --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
  --user-data-dir="$work/profile" --window-size=1000,850 --screenshot="$work/report.png" "file://$work/report.html"
[ "$(stat -c %s "$work/report.png")" -lt 200000 ] || {
  echo "the screenshot is 200 kB or more" >&2
  exit 1
}
mv "$work/report.png" docs/report.png
