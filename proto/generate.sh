#!/usr/bin/env bash
# Writes the Python code of every .proto beside it, or beneath DIR: proto/generate.sh [DIR]
set -euo pipefail
cd "$(dirname "$0")"
bin=../.venv/bin
out=${1:-.}
mapfile -t protos < <(find parley_proto -name '*.proto' | sort)
PATH="$bin:$PATH" "$bin/python" -m grpc_tools.protoc -I . --python_out="$out" --grpc_python_out="$out" \
  --mypy_out="$out" --mypy_grpc_out="$out" "${protos[@]}"
