#!/usr/bin/env bash
# Measures docs/scaling.md on servers of its own: one and two publishers of weather, one, two and three consumers. Builds
# a release first.
#   scripts/scaling.sh [--short] [--write]     --short: less than 4 min, figures that only show that it works
#                                              --write: replaces the figures of docs/scaling.md
# All figures are in $SCALING_JSON.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/setup.sh all
# shellcheck source=scripts/rust.sh
. scripts/rust.sh

target=${CARGO_TARGET_DIR:-target}
stack_dir=$target/scaling-stack
export SCALING_JSON=${SCALING_JSON:-$target/scaling.json}

cargo build --bin stack
programs=${SCALING_PROGRAMS:-}
if [[ -z $programs ]]; then
  cargo build --release -p weather -p producer -p consumer
  programs=$target/release
fi
# shellcheck source=scripts/stack.sh
. scripts/stack.sh
drop_stack
trap 'stop_stack; rm -rf "$stack_dir"' EXIT
start_stack kafka,registry,rabbitmq,redis
python3 -B scripts/scaling "$programs" "$stack_dir" "$@"
