#!/bin/sh
# Says whether the content mounted at $1 (default /content) is complete.
set -eu
root=${1:-/content}
for file in config/app.yaml data/items.json data/regions.json rules/orders.rego; do
	[ -r "$root/$file" ] || { echo "missing: $file" >&2; exit 1; }
done
sed -n 's/^version: //p' "$root/config/app.yaml"
