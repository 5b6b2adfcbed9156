#!/usr/bin/env bash
# Makes .venv with every package at its pinned version: by uv when it is there, else by venv and pip. Run by `make setup`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

say() { printf '\033[2m%s\033[0m\n' "$*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "Parley needs Python 3.11 or newer; $python is $("$python" -V)" >&2; exit 1; }

if command -v uv >/dev/null; then
  say "setup: installing with uv (about 5 GB at the first time: torch)"
  [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
  uv pip install --quiet --python .venv/bin/python -r requirements.txt
else
  say "setup: installing with pip (about 5 GB at the first time: torch)"
  if [ ! -x .venv/bin/pip ]; then
    # Debian keeps ensurepip in a package of its own.
    "$python" -c 'import ensurepip' 2>/dev/null || {
      [ "$(id -u)" = 0 ] || { echo "venv is missing: sudo apt-get install python3-venv" >&2; exit 1; }
      apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null
    }
    "$python" -m venv .venv
  fi
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
fi

# The model's kernels for this CPU. Without a compiler the model runs all the same, on torch alone and more slowly.
infra/compiler.sh || true
say "setup: compiling the model's kernels"
.venv/bin/python -m parley_worker.native.build || true # it says what is missing

# The real servers are for `make cluster` and `make test`. `make run` needs none of this: what is missing is only said.
servers() { .venv/bin/parley-local install; }

apt_install() {
  say "setup: installing Java 17, Maven and Redis with apt-get"
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # no Redis of the system's own is to start
  local install=(apt-get install -qq -y --no-install-recommends)
  # Java first and alone: a distribution that has no 17 any more still has the others.
  { apt-get update -qq && { "${install[@]}" openjdk-17-jre-headless || true; "${install[@]}" maven redis-server; }; } >/dev/null
}

if ! servers; then
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt_install && servers; } ||
    say "setup: make run works; make cluster and make test need the above"
fi
say "setup: done"
