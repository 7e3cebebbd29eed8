#!/usr/bin/env bash
# What `make test` shows, and the long forms: thousands more of simulated schedules and generated cases, every fault
# scenario in full, the build of the image, the benchmark in its short form. An hour or more.
# The last line is that of `make test` with the long forms counted in; the exit code is 0 only when all of it passed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/test.sh
# shellcheck source=scripts/rust.sh
. scripts/rust.sh

target=${CARGO_TARGET_DIR:-target}
stack_dir=$target/bench-stack
log=$target/test-all.log
cp "$target/test-output.log" "$log"

status=0
echo "test-all: ${SIMULATION_SCHEDULES:=100000} simulated schedules"
export SIMULATION_SCHEDULES
cargo test -p relane --lib 2>&1 | tee -a "$log" || status=1
echo "test-all: ${PROPTEST_CASES:=20000} generated cases for each rule"
export PROPTEST_CASES
cargo test --no-fail-fast -p orders -p pipeline -p codec --lib 2>&1 | tee -a "$log" || status=1
echo "test-all: every float that is a price"
PRICES_STEP=1 cargo test -p orders --lib all_floats 2>&1 | tee -a "$log" || status=1
scripts/faults.sh || status=1
scripts/image-build.sh || status=1

# shellcheck source=scripts/stack.sh
. scripts/stack.sh
drop_stack
trap stop_stack EXIT
start_stack kafka,registry
BENCH_PART=quick cargo bench -p consumer --bench performance || status=1
trap - EXIT
stop_stack

scripts/test-totals.awk "$log" || status=1
exit "$status"
