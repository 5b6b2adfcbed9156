#!/usr/bin/env bash
# Prints the secrets of a new installation as lines for .env: infra/compose/secrets.sh >> .env
set -euo pipefail
umask 077
command -v openssl >/dev/null || { echo "secrets.sh needs openssl: apt-get install openssl" >&2; exit 2; }

token=$(openssl rand -base64 32)
key=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)

printf 'PARLEY_SERVICE_TOKEN=%s\n' "$token"
# One line: auth reads backslash n as a line break, and single quotes keep Compose from doing so first.
printf "PARLEY_AUTH_SIGNING_KEY='%s'\n" "${key//$'\n'/\\n}"
