#!/usr/bin/env bash
# Fail when the committed generated code and descriptor set are not exactly what protos/ generates today.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
scripts/proto.sh "$fresh"

if ! diff -rq --exclude=__init__.py --exclude=wire.py --exclude=key_settings.py --exclude=price_rows.py --exclude=__pycache__ "$fresh/keyauthority/v1" keyauthority/v1 >&2 ||
    ! cmp "$fresh/protos/keyauthority.binpb" protos/keyauthority.binpb >&2; then
    echo "keyauthority/v1 or protos/keyauthority.binpb is not what protos/ generates: run make proto, and remove what is left over" >&2
    exit 1
fi
