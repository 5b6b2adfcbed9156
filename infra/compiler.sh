#!/usr/bin/env bash
# Installs a C and a C++ compiler with apt-get, where there is none and it may: for infra/make_signals.c and for the
# kernels of parley_worker.native.
set -euo pipefail
[ -n "${CXX:-}" ] && compilers=("${CXX%% *}") || compilers=(g++ c++ clang++) # as parley_worker.native.build looks for them
command -v cc >/dev/null && [ -n "$(command -v "${compilers[@]}")" ] && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
echo "setup: installing C and C++ compilers with apt-get" >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -qq -y --no-install-recommends g++ gcc libc6-dev; } >/dev/null
