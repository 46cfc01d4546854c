#!/usr/bin/env bash
# Fail when the committed generated code is not exactly what protos/ generates today.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
scripts/proto.sh "$fresh"

generated() { (cd "$1" && find keyauthority -name '*_pb2*.py*' -not -path '*/__pycache__/*' | sort); }

diff -u <(generated .) <(generated "$fresh") || { echo "keyauthority/v1 has missing or left-over files: run make proto" >&2; exit 1; }
while read -r file; do
    diff -u "$file" "$fresh/$file" || { echo "$file is out of date: run make proto" >&2; exit 1; }
done < <(generated "$fresh")
