#!/usr/bin/env bash
# Writes constraints.txt: the newest versions that pyproject.toml allows, for the tests to prove.
#
#     scripts/lock.sh [PYTHON]
#
# Take the oldest Python that is supported: what runs on it, runs on newer ones.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"${1:-python3}" -m venv "$environment"
pip() { "$environment/bin/python" -m pip --disable-pip-version-check "$@"; }

"$environment/bin/python" scripts/dependency_group.py dev > "$environment/dev.txt"
pip install --quiet --editable '.[server,gateway,console]' --requirement "$environment/dev.txt"
{
    echo '# The versions that are tested together. `make lock` writes this file.'
    pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[^ @]+$'
} > "$environment/constraints.txt"
mv "$environment/constraints.txt" constraints.txt
echo "constraints.txt has $(grep -c == constraints.txt) versions: make test proves them" >&2
