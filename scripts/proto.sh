#!/usr/bin/env bash
# Generate from protos/, into a directory (default: the repository): Python modules and type stubs, and
# protos/keyauthority.binpb, the descriptor set from which other languages generate.
# The proto path is the Python path, so nothing needs rewriting; only *_service.proto has services.
set -euo pipefail
cd "$(dirname "$0")/.."

output=${1:-.}
tools=.venv-proto/bin
# Where googleapis-common-protos installs google/rpc, the details of errors.
common=$("$tools/python" -c 'import google.rpc; print(list(google.rpc.__path__)[0].removesuffix("google/rpc"))')

protoc() {
    "$tools/python" -m grpc_tools.protoc --proto_path=protos \
        --plugin="protoc-gen-mypy=$tools/protoc-gen-mypy" \
        --plugin="protoc-gen-mypy_grpc=$tools/protoc-gen-mypy_grpc" "$@"
}

protoc --python_out="$output" --mypy_out="quiet:$output" protos/keyauthority/v1/*.proto
protoc --grpc_python_out="$output" --mypy_grpc_out="quiet:$output" protos/keyauthority/v1/*_service.proto

mkdir -p "$output/protos"
protoc --proto_path="$common" --include_imports --include_source_info \
    --descriptor_set_out="$output/protos/keyauthority.binpb" \
    protos/keyauthority/v1/*.proto google/rpc/error_details.proto google/rpc/status.proto
