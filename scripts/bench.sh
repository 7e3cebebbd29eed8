#!/usr/bin/env bash
# What the consumer costs beside the least that reading can cost, on a Kafka of its own: builds a release, which takes
# some minutes, and prints the table of docs/performance.md. All figures are in $BENCH_JSON.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/setup.sh all
# shellcheck source=scripts/rust.sh
. scripts/rust.sh

target=${CARGO_TARGET_DIR:-target}
stack_dir=$target/bench-stack
export BENCH_JSON=${BENCH_JSON:-$target/cpu-per-record.json}
BENCH_JSON=$(realpath -m "$BENCH_JSON") # the benchmark runs in the folder of its package

cargo build --bin stack
# shellcheck source=scripts/stack.sh
. scripts/stack.sh
drop_stack
trap stop_stack EXIT
start_stack kafka,registry
cargo bench -p consumer
