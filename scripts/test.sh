#!/usr/bin/env bash
# Everything that must hold: builds, lints, starts fresh servers, runs every test against them, stops them.
# The last line of output is `N passed, N failed`; the exit code is 0 only when all suites ran and nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/setup.sh all
# shellcheck source=scripts/rust.sh
. scripts/rust.sh

# A first build has nothing to be incremental to; without, it is faster and takes a third less room.
if [[ "${CI:-}" == true ]]; then
  export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
fi

# A full disk fails a build or a broker in ways that do not name it.
room_gib_min=8
room_gib=$(df --output=avail -B 1G . | tail -n 1 | tr -d ' ')
if ((room_gib < room_gib_min)); then
  echo "test: ${room_gib} GiB free here; a build with its servers wants ${room_gib_min} GiB" >&2
  [[ -d ${CARGO_TARGET_DIR:-target}/debug ]] || exit 1
fi

target=${CARGO_TARGET_DIR:-target}
# Servers and tests keep their data in memory where there is room: on a disk one that flushes waits for what all others
# have written. Tests kill processes, never the machine.
scratch=$target/test-scratch
memory_gib=$(df --output=avail -B 1G /dev/shm 2>/dev/null | tail -n 1 | tr -d ' ' || true)
if [[ -w /dev/shm ]] && ((${memory_gib:-0} >= 2 * room_gib_min)); then
  scratch=/dev/shm/order-pipeline-tests-$UID-$(cksum <<<"$PWD" | cut -d ' ' -f 1)
fi
stack_dir=$scratch/stack
log=$target/test-output.log

cargo fmt --all --check
# Benches are left to clippy, which checks every target.
cargo test --workspace --no-run

# shellcheck source=scripts/stack.sh
. scripts/stack.sh
drop_stack
rm -rf "$scratch"
mkdir -p "$scratch/tmp"
export TMPDIR=$scratch/tmp
trap 'stop_stack; rm -rf "$scratch"' EXIT
# Java's second compiler pays for itself after minutes of the same work; in a run it took a seventh of the broker's time.
JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 start_stack kafka,registry,rabbitmq

status=0
scripts/run-suites.sh "$log" || status=$?

trap - EXIT
stop_stack
rm -rf "$scratch"

scripts/test-totals.awk "$log" || status=1
exit "$status"
