#!/usr/bin/env bash
# Builds every image of the platform with Docker, tagged with the project's version: `make images`.
set -euo pipefail
cd "$(dirname "$0")/../.."

refuse() { echo "make images: $1" >&2; exit 2; }
command -v docker >/dev/null || refuse "needs Docker, which is not installed here"
docker info >/dev/null 2>&1 || refuse "docker is installed, but no engine answers: start it, or set DOCKER_HOST"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

for dockerfile in services/*/Dockerfile gpu-worker/Dockerfile; do
  image=$(sed -n 's/.*image.title="\([^"]*\)".*/\1/p' "$dockerfile")
  echo "== $image:$version"
  docker build --file "$dockerfile" --tag "$image:$version" --tag "$image:latest" \
    --label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$revision" .
done
