#!/usr/bin/env bash
# Checks of files that need no build: words, the Dockerfile, the workflows, licences. `make test` runs them as well.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh tools
tools=${XDG_CACHE_HOME:-$HOME/.cache}/order-pipeline/tools/bin
"$tools/typos" --format brief
"$tools/hadolint" docker/Dockerfile
"$tools/zizmor" --offline --quiet --persona regular .github/workflows
# Advisories change by the day and come over the network: `cargo deny check advisories`.
"$tools/cargo-deny" --log-level error check bans licenses sources
