#!/usr/bin/env bash
# Runs the very `cargo` command of docker/Dockerfile over a copy of the files that a container engine would be sent.
# Needs no engine; the programs end in target/image/release.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/rust.sh
. scripts/rust.sh

command=$(sed -n 's/^ *\(cargo build [^\\]*\)\\\{0,1\}$/\1/p' docker/Dockerfile)
[[ -n $command ]] || { echo "image-build: no cargo command in docker/Dockerfile" >&2; exit 1; }

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# The ignore file's patterns as regular expressions: `**/name` anywhere, `*.end` at the top, a name at the top.
ignored=$(grep -vE '^(#|$)' docker/Dockerfile.dockerignore | sed 's/\./\\./g' |
  sed -e 's|^\*\*/\(.*\)$|(^\|/)\1(/\|$)|;t' -e 's|^\*\(.*\)$|^[^/]*\1$|;t' -e 's|^\(.*\)$|^\1(/\|$)|')
git ls-files --cached --others --exclude-standard | grep -vE -f <(printf '%s\n' "$ignored") |
  tar --files-from=- -cf - | tar -xf - -C "$copy"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/image
echo "image-build: $command" >&2
cd "$copy"
read -ra words <<<"$command"
"${words[@]}"
ls -l "$CARGO_TARGET_DIR"/release/{producer,consumer,orders,sync-rest,rabbit,streaming,push,demo}
