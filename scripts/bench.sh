#!/usr/bin/env bash
# What docs/performance.md says, measured on a Kafka of its own: builds a release, which takes some minutes, and prints
# tables. All figures are in files of JSON beside the build.
#
#   scripts/bench.sh            the consumer beside a floor and beside what others would write; ten minutes
#   scripts/bench.sh --quick    the consumer beside the floor, in less than 90 s; fails when a record has become far too dear
#   scripts/bench.sh PART...    other parts, as consumer/benches/performance/main.rs lists them
#
# A run in full size puts its table into docs/performance.md; BENCH_PAGE= (empty) leaves the page alone.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

parts=("${@:-cpu}")
[[ ${parts[0]} != --quick ]] || parts=(quick)

# Only the first part compiles Java.
if [[ " ${parts[*]} " == *" cpu "* ]]; then
  scripts/setup.sh bench
else
  scripts/setup.sh all
fi
# shellcheck source=scripts/rust.sh
. scripts/rust.sh

target=${CARGO_TARGET_DIR:-target}
stack_dir=$target/bench-stack
# The benchmark runs in the folder of its package.
[[ -z ${BENCH_JSON:-} ]] || BENCH_JSON=$(realpath -m "$BENCH_JSON")
[[ -n ${BENCH_RECORDS:-}${BENCH_ROUNDS:-}${BENCH_ONLY:-}${BENCH_CONSUMER:-}${BENCH_SECONDS:-}${BENCH_PRODUCTS:-} ]] || BENCH_PAGE=${BENCH_PAGE-docs/performance.md}
if [[ -n ${BENCH_PAGE:-} && ${parts[0]} != quick ]]; then
  BENCH_PAGE=$(realpath -m "$BENCH_PAGE")
else
  unset BENCH_PAGE
fi
export BENCH_JSON BENCH_PAGE
[[ -n ${BENCH_JSON:-} ]] || unset BENCH_JSON

# Kafka runs as its own scripts start it: the collector of the tests' brokers stops all of Kafka for 30 to 60 ms at a time.
export KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS--Xms1G -Xmx1G}
export KAFKA_JVM_PERFORMANCE_OPTS=${KAFKA_JVM_PERFORMANCE_OPTS--server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent}

cargo build --bin stack
cargo bench -p consumer --bench performance --no-run
# shellcheck source=scripts/stack.sh
. scripts/stack.sh
drop_stack
trap stop_stack EXIT
start_stack kafka,registry
for part in "${parts[@]}"; do
  BENCH_PART=$part cargo bench -p consumer --bench performance
done
