#!/usr/bin/env bash
# Says how long a first build takes, before it begins. What is built already needs no word.
# Usage: scripts/announce-build.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")/.."

program=$1
[[ -x ${CARGO_TARGET_DIR:-target}/debug/$program ]] && exit 0
case "$program" in
  demo) takes='about two minutes' ;;
  *) takes='a minute or two' ;;
esac
echo "$program: the first build takes $takes on two cores; later starts take seconds" >&2
