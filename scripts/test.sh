#!/usr/bin/env bash
# Everything that must hold: builds, lints, starts fresh servers, runs every test against them, stops them.
# The last line of output is `N passed, N failed`; the exit code is 0 only when all suites ran and nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/setup.sh all

target=${CARGO_TARGET_DIR:-target}
stack_dir=$target/test-stack
log=$target/test-output.log

cargo build --workspace --all-targets
make --no-print-directory lint

stop_stack() {
  "$target/debug/stack" down --dir "$stack_dir" || echo "test: servers of $stack_dir may still run" >&2
}

if [[ -e "$stack_dir" ]]; then
  # Left by a run that was killed.
  stop_stack
  rm -rf "$stack_dir"
fi
trap stop_stack EXIT
cargo run --quiet --bin stack -- up --dir "$stack_dir" --only kafka,registry
# shellcheck source=/dev/null
. "$stack_dir/env"

status=0
cargo test --workspace --no-fail-fast 2>&1 | tee "$log" || status=$?

trap - EXIT
stop_stack

scripts/test-totals.awk "$log" || status=1
exit "$status"
