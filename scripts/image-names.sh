#!/usr/bin/env bash
# Prints the programs that have an image, one a line: the stages of docker/Dockerfile that begin with `base`.
set -euo pipefail
cd "$(dirname "$0")/.."
sed -n 's/^FROM base AS \(.*\)$/\1/p' docker/Dockerfile
