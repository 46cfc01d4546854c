#!/usr/bin/env bash
# Generate Python modules and type stubs from protos/ into a directory (default: the repository).
# The proto path is the Python path, so nothing needs rewriting; only *_service.proto has services.
set -euo pipefail
cd "$(dirname "$0")/.."

output=${1:-.}
tools=.venv-proto/bin

protoc() {
    "$tools/python" -m grpc_tools.protoc --proto_path=protos \
        --plugin="protoc-gen-mypy=$tools/protoc-gen-mypy" \
        --plugin="protoc-gen-mypy_grpc=$tools/protoc-gen-mypy_grpc" "$@"
}

protoc --python_out="$output" --mypy_out="quiet:$output" protos/keyauthority/v1/*.proto
protoc --grpc_python_out="$output" --mypy_grpc_out="quiet:$output" protos/keyauthority/v1/*_service.proto
