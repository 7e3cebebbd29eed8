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
cargo build --workspace --bins --features consumer/failpoints

# shellcheck source=scripts/stack.sh
. scripts/stack.sh
drop_stack
trap stop_stack EXIT
start_stack kafka,registry

"$target/debug/faults" run "$@"
