#!/usr/bin/env bash
# Builds the programs as they are shipped, into target/programs: each without debug information, and that beside it as
# PROGRAM.debug, where gdb, perf and the like look for it.
# Usage: scripts/release.sh [PROGRAM]...     all programs of the container image where none is named
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/rust.sh
. scripts/rust.sh

programs=("$@")
if (($# == 0)); then
  mapfile -t programs < <(grep -oP -- '--bin \K\S+' docker/Dockerfile)
fi
target=${CARGO_TARGET_DIR:-target}
to=$target/programs

# `cargo build --release` by itself leaves the debug information out.
CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --locked "${programs[@]/#/--bin=}"

mkdir -p "$to"
for program in "${programs[@]}"; do
  rm -f "$to/$program" "$to/$program.debug"
  objcopy --only-keep-debug "$target/release/$program" "$to/$program.debug"
  strip -o "$to/$program" "$target/release/$program"
  (cd "$to" && objcopy --add-gnu-debuglink="$program.debug" "$program")
  chmod -x "$to/$program.debug"
done
(cd "$to" && ls -l "${programs[@]}" "${programs[@]/%/.debug}")
