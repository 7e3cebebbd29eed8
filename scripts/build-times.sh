#!/usr/bin/env bash
# What a first build takes on this machine: wall and CPU seconds, and the units that take longest, of the demo and of
# everything. Each is built in an empty folder; nothing of `target` is used or changed. Wants a machine that does nothing else.
# Usage: scripts/build-times.sh [CARGO ARGUMENTS]     one build with these arguments in place of the two
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/rust.sh
. scripts/rust.sh

longest_shown=10
export CARGO_INCREMENTAL=0
TIMEFORMAT='%R s, of the processors %U s for programs and %S s for the system'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

measure() { # ARGUMENTS
  echo "build-times: cargo build $*"
  time CARGO_TARGET_DIR=$dir/target cargo build --quiet --locked --timings "$@"
  # The report holds its figures as JSON.
  sed -n '/^const UNIT_DATA = /,/^\];/p' "$dir/target/cargo-timings/cargo-timing.html" |
    sed -e '1s/^const UNIT_DATA = //' -e '$s/;$//' |
    jq -r --argjson shown "$longest_shown" '
      sort_by(-.duration)[:$shown][] | "  \(.duration | round) s  \(.name) \(.target)"'
  rm -rf "$dir/target"
}

cargo fetch --quiet --locked
if (($# > 0)); then
  measure "$@"
else
  measure --bin demo
  measure --workspace --all-targets
fi
