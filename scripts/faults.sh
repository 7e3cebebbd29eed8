#!/usr/bin/env bash
# The fault scenarios in their full form on fresh servers; arguments go to `faults run`.
# At most 15 minutes after the build; exit 0 only if all passed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/setup.sh all
# shellcheck source=scripts/rust.sh
. scripts/rust.sh

target=${CARGO_TARGET_DIR:-target}
stack_dir=$target/faults-stack

# With the consumer's fail points, as tests have them; never what is shipped.
cargo build --workspace --bins --features consumer/test-hooks

stop_stack() {
  "$target/debug/stack" down --dir "$stack_dir" || echo "faults: servers of $stack_dir may still run" >&2
}

if [[ -e "$stack_dir" ]]; then
  # Left by a run that was killed.
  stop_stack
  rm -rf "$stack_dir"
fi
trap stop_stack EXIT
"$target/debug/stack" up --dir "$stack_dir" --only kafka,registry
# shellcheck source=/dev/null
. "$stack_dir/env"

"$target/debug/faults" run "$@"
