#!/usr/bin/env bash
# Installs a C compiler with apt-get, where there is none and it may, for infra/make_signals.c.
set -euo pipefail
command -v cc >/dev/null && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
echo "setup: installing a C compiler with apt-get" >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -qq -y --no-install-recommends gcc libc6-dev; } >/dev/null
